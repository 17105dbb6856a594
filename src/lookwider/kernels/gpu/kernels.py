"""The Triton kernels. One program treats one cell of one image: see the package's docstring.

All read scores as (N, h, w, K) and count in int64 where a product may pass 2**31. A pixel is

    (s00 * left + s01 * right) * top + (s10 * left + s11 * right) * bottom

in this order, columns first, as `lookwider.layers.taps.resample`.
"""

from __future__ import annotations

import triton
import triton.language as tl

SIZES = ["h", "w", "height", "width", "ignore_index"]
"""Numbers that a kernel is not compiled anew for."""


@triton.jit
def _corners(
    scores: tl.tensor,
    image: tl.tensor,
    row: tl.tensor,
    col: tl.tensor,
    h: tl.tensor,
    w: tl.tensor,
    k: tl.tensor,
    num_classes: tl.tensor,
) -> tl.tensor:
    """Return the scores of four places: of the cell's corners, or of chosen classes of them."""
    next_row = tl.minimum(row + 1, h - 1)
    next_col = tl.minimum(col + 1, w - 1)
    top, bottom = (image * h + row) * w, (image * h + next_row) * w
    inside = (k >= 0) & (k < num_classes)
    s00 = tl.load(scores + (top + col) * num_classes + k, inside, 0.0).to(tl.float32)
    s01 = tl.load(scores + (top + next_col) * num_classes + k, inside, 0.0).to(tl.float32)
    s10 = tl.load(scores + (bottom + col) * num_classes + k, inside, 0.0).to(tl.float32)
    s11 = tl.load(scores + (bottom + next_col) * num_classes + k, inside, 0.0).to(tl.float32)
    return s00, s01, s10, s11


@triton.jit
def _finite(score: tl.tensor, infinity: tl.tensor) -> tl.tensor:
    """Put a large number for an infinity: 0 times infinity would be NaN at the cell's edge."""
    score = tl.where(score == float("inf"), infinity, score)
    return tl.where(score == float("-inf"), -infinity, score)


@triton.jit
def _cell(row_starts: tl.tensor, col_starts: tl.tensor, w: tl.tensor) -> tl.tensor:
    """Return the cell of this program: its place, its first pixel and how many it has."""
    cell = tl.program_id(0)
    row, col = (cell // w).to(tl.int64), (cell % w).to(tl.int64)
    first_row, first_col = tl.load(row_starts + row), tl.load(col_starts + col)
    row_count = tl.load(row_starts + row + 1) - first_row
    col_count = tl.load(col_starts + col + 1) - first_col
    return row, col, first_row, first_col, row_count, col_count


@triton.jit
def _each_class(
    s00: tl.tensor,
    s01: tl.tensor,
    s10: tl.tensor,
    s11: tl.tensor,
    left: tl.tensor,
    right: tl.tensor,
    top: tl.tensor,
    bottom: tl.tensor,
) -> tl.tensor:
    """Return (pixels, classes) scores from (classes,) corners and (pixels,) weights."""
    upper = s00[None, :] * left[:, None] + s01[None, :] * right[:, None]
    lower = s10[None, :] * left[:, None] + s11[None, :] * right[:, None]
    return upper * top[:, None] + lower * bottom[:, None]


@triton.jit
def _weights(
    row_weights: tl.tensor, col_weights: tl.tensor, y: tl.tensor, x: tl.tensor, inside: tl.tensor
) -> tl.tensor:
    """Return the weights left, right, top, bottom of some pixels."""
    left = tl.load(col_weights + 2 * x, inside, 0.0)
    right = tl.load(col_weights + 2 * x + 1, inside, 0.0)
    top = tl.load(row_weights + 2 * y, inside, 0.0)
    bottom = tl.load(row_weights + 2 * y + 1, inside, 0.0)
    return left, right, top, bottom


@triton.jit(do_not_specialize=SIZES)
def label_kernel(
    scores: tl.tensor,
    row_starts: tl.tensor,
    row_weights: tl.tensor,
    col_starts: tl.tensor,
    col_weights: tl.tensor,
    labels: tl.tensor,
    h: tl.tensor,
    w: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    num_classes: tl.tensor,
    infinity: tl.tensor,
    pixel_block: tl.constexpr,
    class_block: tl.constexpr,
) -> None:
    """Write the class of the highest score of each pixel of a cell, the lowest where equal."""
    row, col, first_row, first_col, row_count, col_count = _cell(row_starts, col_starts, w)
    image = tl.program_id(1).to(tl.int64)
    step = tl.num_programs(2) * pixel_block  # several programs share a large cell
    for start in range(tl.program_id(2) * pixel_block, row_count * col_count, step):
        pixel = start + tl.arange(0, pixel_block)
        inside = pixel < row_count * col_count
        y, x = first_row + pixel // col_count, first_col + pixel % col_count
        left, right, top, bottom = _weights(row_weights, col_weights, y, x, inside)
        best = tl.full((pixel_block,), float("-inf"), tl.float32)
        label = tl.zeros((pixel_block,), tl.int32)
        for first in range(0, num_classes, class_block):
            k = first + tl.arange(0, class_block)
            s00, s01, s10, s11 = _corners(scores, image, row, col, h, w, k, num_classes)
            s00, s01 = _finite(s00, infinity), _finite(s01, infinity)
            s10, s11 = _finite(s10, infinity), _finite(s11, infinity)
            z = _each_class(s00, s01, s10, s11, left, right, top, bottom)
            z = tl.where((k < num_classes)[None, :], z, float("-inf"))
            highest, index = tl.max(z, 1, return_indices=True)
            label = tl.where(highest > best, first + index, label)
            best = tl.maximum(best, highest)
        place = (image * height + y) * width + x
        tl.store(labels + place, label.to(labels.dtype.element_ty), inside)


@triton.jit(do_not_specialize=SIZES)
def loss_kernel(
    scores: tl.tensor,
    row_starts: tl.tensor,
    row_weights: tl.tensor,
    col_starts: tl.tensor,
    col_weights: tl.tensor,
    labels: tl.tensor,
    class_weights: tl.tensor,
    losses: tl.tensor,
    normalisers: tl.tensor,
    h: tl.tensor,
    w: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    num_classes: tl.tensor,
    ignore_index: tl.tensor,
    smoothing: tl.tensor,
    smooth: tl.constexpr,
    pixel_block: tl.constexpr,
    class_block: tl.constexpr,
) -> None:
    """Write each pixel's cross entropy, and log(sum(exp(scores))) for the backward."""
    row, col, first_row, first_col, row_count, col_count = _cell(row_starts, col_starts, w)
    image = tl.program_id(1).to(tl.int64)
    step = tl.num_programs(2) * pixel_block  # several programs share a large cell
    for start in range(tl.program_id(2) * pixel_block, row_count * col_count, step):
        pixel = start + tl.arange(0, pixel_block)
        inside = pixel < row_count * col_count
        y, x = first_row + pixel // col_count, first_col + pixel % col_count
        left, right, top, bottom = _weights(row_weights, col_weights, y, x, inside)
        highest = tl.full((pixel_block,), float("-inf"), tl.float32)
        total = tl.zeros((pixel_block,), tl.float32)
        weighted = tl.zeros((pixel_block,), tl.float32)
        weight_sum = 0.0
        for first in range(0, num_classes, class_block):
            k = first + tl.arange(0, class_block)
            s00, s01, s10, s11 = _corners(scores, image, row, col, h, w, k, num_classes)
            z = _each_class(s00, s01, s10, s11, left, right, top, bottom)
            if smooth:
                class_weight = tl.load(class_weights + k, k < num_classes, 0.0)
                weighted += tl.sum(z * class_weight[None, :], 1)
                weight_sum += tl.sum(class_weight, 0)
            z = tl.where((k < num_classes)[None, :], z, float("-inf"))
            before = highest
            highest = tl.maximum(highest, tl.max(z, 1))
            total = total * tl.exp(before - highest) + tl.sum(tl.exp(z - highest[:, None]), 1)
        normaliser = highest + tl.log(total)
        place = (image * height + y) * width + x
        label = tl.load(labels + place, inside, 0)
        known = (label >= 0) & (label < num_classes)
        s00, s01, s10, s11 = _corners(scores, image, row, col, h, w, label, num_classes)
        target = (s00 * left + s01 * right) * top + (s10 * left + s11 * right) * bottom
        loss = (normaliser - target) * tl.load(class_weights + label, known, 0.0)
        if smooth:
            spread = smoothing / num_classes
            loss = (1 - smoothing) * loss + spread * (weight_sum * normaliser - weighted)
        loss = tl.where(known, loss, float("nan"))
        tl.store(losses + place, tl.where(label == ignore_index, 0.0, loss), inside)
        tl.store(normalisers + place, normaliser, inside)


@triton.jit(do_not_specialize=SIZES)
def gradient_kernel(
    scores: tl.tensor,
    row_starts: tl.tensor,
    row_weights: tl.tensor,
    col_starts: tl.tensor,
    col_weights: tl.tensor,
    labels: tl.tensor,
    class_weights: tl.tensor,
    weight_sum: tl.tensor,
    normalisers: tl.tensor,
    outer: tl.tensor,
    shares: tl.tensor,
    share_size: tl.tensor,
    h: tl.tensor,
    w: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    num_classes: tl.tensor,
    ignore_index: tl.tensor,
    smoothing: tl.tensor,
    pixel_block: tl.constexpr,
    class_block: tl.constexpr,
) -> None:
    """Write a cell's shares in the gradients of its corners, for some classes.

    Corner c of a cell goes to ``shares[c]`` at the corner's place. Beyond the last row or column,
    where the weights are 0, it wraps around to the first: so each share has one writer and nothing
    has to be set to 0 or added up atomically.
    """
    row, col, first_row, first_col, row_count, col_count = _cell(row_starts, col_starts, w)
    image = tl.program_id(1).to(tl.int64)
    k = tl.program_id(2) * class_block + tl.arange(0, class_block)
    s00, s01, s10, s11 = _corners(scores, image, row, col, h, w, k, num_classes)
    class_weight = tl.load(class_weights + k, k < num_classes, 0.0)
    spread = smoothing / num_classes
    all_weights = tl.load(weight_sum)
    g00 = tl.zeros((class_block,), tl.float32)
    g01, g10, g11 = g00, g00, g00
    for start in range(0, row_count * col_count, pixel_block):
        pixel = start + tl.arange(0, pixel_block)
        inside = pixel < row_count * col_count
        y, x = first_row + pixel // col_count, first_col + pixel % col_count
        left, right, top, bottom = _weights(row_weights, col_weights, y, x, inside)
        place = (image * height + y) * width + x
        label = tl.load(labels + place, inside, ignore_index)
        normaliser = tl.load(normalisers + place, inside, 0.0)
        known = (label >= 0) & (label < num_classes)
        target = (1 - smoothing) * tl.load(class_weights + label, known, float("nan"))
        z = _each_class(s00, s01, s10, s11, left, right, top, bottom)
        g = (target + spread * all_weights)[:, None] * tl.exp(z - normaliser[:, None])
        g -= tl.where(label[:, None] == k[None, :], target[:, None], 0.0)
        g -= spread * class_weight[None, :]
        g = tl.where(((label != ignore_index) & inside)[:, None], g, 0.0)
        g00 += tl.sum(g * (left * top)[:, None], 0)
        g01 += tl.sum(g * (right * top)[:, None], 0)
        g10 += tl.sum(g * (left * bottom)[:, None], 0)
        g11 += tl.sum(g * (right * bottom)[:, None], 0)
    scale = tl.load(outer)
    above, below = (image * h + row) * w, (image * h + (row + 1) % h) * w
    next_col = (col + 1) % w
    inside = k < num_classes
    tl.store(shares + (above + col) * num_classes + k, g00 * scale, inside)
    shares += share_size
    tl.store(shares + (above + next_col) * num_classes + k, g01 * scale, inside)
    shares += share_size
    tl.store(shares + (below + col) * num_classes + k, g10 * scale, inside)
    shares += share_size
    tl.store(shares + (below + next_col) * num_classes + k, g11 * scale, inside)
