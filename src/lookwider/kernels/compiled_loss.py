"""Loops of `lookwider.kernels.loss`, compiled.

Fused multiply-adds and sums in another order are allowed here (``contract``, ``reassoc``): they
change the last bits only, the same way in every run.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lookwider.kernels.compiled_labels import ordered
from lookwider.kernels.compiling import compiled

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Codes = NDArray[np.int32]

CHUNK = 16
"""Pixels whose softmax is computed together, so that few classes fill vectors too."""

LOG2_E = np.float32(1.4426950408889634)
LN2_HIGH, LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
BIAS = np.float32(127)
SMALLEST_POWER = np.float32(-100)
C2, C3 = np.float32(0.5), np.float32(1.6666665459e-1)
C4, C5 = np.float32(4.1665795894e-2), np.float32(8.3334519073e-3)
C6, C7 = np.float32(1.3981999507e-3), np.float32(1.9875691500e-4)


@compiled(fastmath=("contract",))
def exponentials(values: Floats, powers: Codes, count: int) -> None:
    """Replace values <= 0 by their exponentials, to 1e-7 of each; NaN stays NaN.

    exp(x) = 2^n exp(r) with abs(r) <= ln(2) / 2, and exp(r) by Cephes' polynomial. Below 2^-100
    it is 0: numbers so small that their products are slow have no part in a float32 sum.
    """
    for place in range(count):
        x = values[place]
        n = np.floor(x * LOG2_E + C2)
        n = SMALLEST_POWER if n < SMALLEST_POWER else n
        r = x - n * LN2_HIGH - n * LN2_LOW
        r = -C2 if r < -C2 else r
        p = ((((C7 * r + C6) * r + C5) * r + C4) * r + C3) * r + C2
        values[place] = p * r * r + r + np.float32(1)
        power = np.int32(np.int32(n + BIAS) << np.int32(23))  # the bits of 2^n
        powers[place] = power if n > SMALLEST_POWER else np.int32(0)
    scales = powers.view(np.float32)
    for place in range(count):
        values[place] *= scales[place]


@compiled()
def shift_to_highest(values: Floats) -> None:
    """Subtract the maximum."""
    codes = values.view(np.int32)
    best = np.int32(-(2**31))
    for k in range(values.shape[0]):
        best = max(best, ordered(codes[k]))
    where = 0
    while ordered(codes[where]) != best:
        where += 1
    maximum = values[where]
    for k in range(values.shape[0]):
        values[k] -= maximum


@compiled(fastmath=("contract", "reassoc"))
def total(values: Floats) -> np.float32:
    """Return the sum."""
    result = np.float32(0)
    for k in range(values.shape[0]):
        result += values[k]
    return result


@compiled(fastmath=("contract", "reassoc"))
def product(one: Floats, other: Floats) -> np.float32:
    """Return the sum of products."""
    result = np.float32(0)
    for k in range(one.shape[0]):
        result += one[k] * other[k]
    return result


@compiled(fastmath=("contract",))
def blend(low: Floats, high: Floats, low_weight: float, high_weight: float, out: Floats) -> None:
    """Write a weighted sum."""
    for k in range(out.shape[0]):
        out[k] = low_weight * low[k] + high_weight * high[k]


@compiled(fastmath=("contract",))
def add(values: Floats, factor: float, out: Floats) -> None:
    """Add a multiple."""
    for k in range(out.shape[0]):
        out[k] += factor * values[k]


@compiled(fastmath=("contract",))
def row_loss(
    line: Floats,
    labels: Ints,
    cols: tuple[Ints, Ints],
    weights: tuple[Floats, Floats],
    classes: Floats,
    ignore_index: int,
    smoothing: float,
    rooms: tuple[Floats, Codes],
    losses: Floats,
    gradient: Floats,
) -> None:
    """Write the losses of a row of pixels and add the gradient of their sum.

    With p the softmax and y the label, the loss and its gradient in the scores x are::

        (1 - s) w_y (-log p_y) + s / K sum_c w_c (-log p_c)
        ((1 - s) w_y + s / K sum_c w_c) p - (1 - s) w_y [y] - s / K w

    Args:
        line: (w, K) scores of the coarse row at this row of pixels.
        labels: (W,); neither a class nor ignored: the loss is NaN.
        cols: low and high input of each pixel.
        weights: the weights of the two.
        classes: (K,) class weights w.
        ignore_index: label of pixels that do not count.
        smoothing: s, label smoothing.
        rooms: (CHUNK, K) and (CHUNK * K) to compute in.
        losses: (W,), written.
        gradient: (w, K), added to; (0, K) if none is wanted.
    """
    values, powers = rooms
    count = np.float32(classes.shape[0])
    spread = smoothing / count
    spread_weight = spread * total(classes)
    pixels = np.empty(CHUNK, np.int64)
    own = np.empty(CHUNK, np.float32)
    pixel = 0
    while pixel < labels.shape[0]:
        used = 0
        while pixel < labels.shape[0] and used < CHUNK:
            label = labels[pixel]
            known = 0 <= label < classes.shape[0]
            losses[pixel] = 0 if known or label == ignore_index else np.nan
            if known and label != ignore_index:
                low, high = line[cols[0][pixel]], line[cols[1][pixel]]
                blend(low, high, weights[0][pixel], weights[1][pixel], values[used])
                shift_to_highest(values[used])
                own[used] = (np.float32(1) - smoothing) * classes[label]
                losses[pixel] = -own[used] * values[used, label]
                if smoothing > 0:
                    losses[pixel] -= spread * product(classes, values[used])
                pixels[used] = pixel
                used += 1
            pixel += 1
        exponentials(values.ravel(), powers, used * classes.shape[0])
        for place in range(used):
            at = pixels[place]
            mass = total(values[place])
            losses[at] += (own[place] + spread_weight) * np.log(mass)
            if gradient.shape[0]:
                factor = (own[place] + spread_weight) / mass
                for tap in range(2):
                    share, goal = weights[tap][at], gradient[cols[tap][at]]
                    add(values[place], share * factor, goal)
                    goal[labels[at]] -= share * own[place]
                    if smoothing > 0:
                        add(classes, -share * spread, goal)


@compiled()
def cells_loss(
    start: int,
    stop: int,
    scores: Floats,
    row_edges: Ints,
    rows: tuple[Ints, Ints],
    row_weights: tuple[Floats, Floats],
    cols: tuple[Ints, Ints],
    col_weights: tuple[Floats, Floats],
    labels: Ints,
    classes: Floats,
    ignore_index: int,
    smoothing: float,
    losses: Floats,
    gradients: tuple[Floats, Floats],
) -> None:
    """Write the losses of the pixels between two coarse rows, for some (image, row of cells).

    Only the rows of cells above and below a coarse row add to its gradient, each to its own copy:
    nothing depends on which of them comes first.

    Args:
        start: first pair.
        stop: end of the pairs.
        scores: (N, h, w, K).
        row_edges: (cells + 1,): where rows of pixels with one low coarse row begin.
        rows: low and high coarse row of each row of pixels.
        row_weights: their weights.
        cols: low and high coarse column of each column of pixels.
        col_weights: their weights.
        labels: (N, H, W).
        classes: (K,) class weights.
        ignore_index: label of pixels that do not count.
        smoothing: label smoothing.
        losses: (N, H, W), written.
        gradients: twice (N, h, w, K), of the cells below and above; or of no image, if not wanted.
    """
    wanted = gradients[0].shape[0] > 0
    width, depth = scores.shape[2], scores.shape[3]
    line = np.empty((width, depth), np.float32)
    gradient = np.empty((width if wanted else 0, depth), np.float32)
    rooms = (np.empty((CHUNK, depth), np.float32), np.empty(CHUNK * depth, np.int32))
    flat, flat_gradient = line.reshape(-1), gradient.reshape(-1)
    for item in range(start, stop):
        image, cell = item // (row_edges.shape[0] - 1), item % (row_edges.shape[0] - 1)
        for row in range(row_edges[cell], row_edges[cell + 1]):
            low, high = rows[0][row], rows[1][row]
            low_weight, high_weight = row_weights[0][row], row_weights[1][row]
            upper, lower = scores[image, low].reshape(-1), scores[image, high].reshape(-1)
            blend(upper, lower, low_weight, high_weight, flat)
            flat_gradient[:] = 0
            row_loss(
                line,
                labels[image, row],
                cols,
                col_weights,
                classes,
                ignore_index,
                smoothing,
                rooms,
                losses[image, row],
                gradient,
            )
            if wanted:
                add(flat_gradient, low_weight, gradients[0][image, low].reshape(-1))
                # the last coarse row may be both, and the cell above writes to it as a high one
                goal = gradients[1] if high != low else gradients[0]
                add(flat_gradient, high_weight, goal[image, high].reshape(-1))
