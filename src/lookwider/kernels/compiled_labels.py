"""Loops of `lookwider.kernels.labels`, compiled; the proof is there."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookwider.kernels.compiling import compiled

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Codes = NDArray[np.int32]
Scalar = Any  # a NumPy scalar: what comes of two of them is for numba to say
Corners = tuple[Floats, Floats, Floats, Floats]

LARGEST_CELL = 32
"""Outputs that are treated together at most, along an axis."""

LARGEST_AREA = LARGEST_CELL * LARGEST_CELL

MARGIN = np.float32(2.0**-20)
"""16 unit roundoffs of float32: a relative lead that no rounding of an interpolation undoes."""

TINY = np.float32(1e-20)
"""Magnitude below which a lead is taken absolutely: products with weights may underflow."""


@compiled()
def lowered(score: Scalar) -> Scalar:
    """Return what a class must stay below, raised, to be surely below this score."""
    return score - MARGIN * max(abs(score), TINY)


@compiled()
def raised(score: Scalar) -> Scalar:
    """Return the counterpart of `lowered`; both grow with the score."""
    return score + MARGIN * abs(score)


@compiled()
def ordered(bits: np.int32) -> np.int32:
    """Map a float's bits to an integer in the order of the floats, whose maxima are vectorised."""
    return np.int32(bits ^ np.int32(np.int32(bits >> 31) & np.int32(0x7FFFFFFF)))


@compiled()
def find_winners(start: int, stop: int, scores: Floats, winners: Ints, finite: Ints) -> None:
    """Write each place's class, or ``-1 - class`` where a lower class is too close.

    Args:
        start: first place.
        stop: end of the places.
        scores: (places, K).
        winners: (places,).
        finite: (places,) 1, or 0 where a score is infinite or NaN.
    """
    codes = scores.view(np.int32)
    for place in range(start, stop):
        line, bits = scores[place], codes[place]
        highest, largest = np.int32(-(2**31)), np.int32(0)
        for k in range(line.shape[0]):
            highest = max(highest, ordered(bits[k]))
            largest = max(largest, np.int32(bits[k] & 0x7FFFFFFF))
        finite[place] = largest < 0x7F800000  # the bits of infinity
        if not finite[place]:
            continue
        winner = 0
        while ordered(bits[winner]) != highest:
            winner += 1
        limit = lowered(line[winner])
        close = False
        for k in range(winner):
            close |= raised(line[k]) >= limit
        winners[place] = -1 - winner if close else winner


@compiled()
def leave_out_lower(corners: Corners, winner: int, kept: Codes) -> None:
    """Clear ``kept`` of the classes that are surely below ``winner`` at all four corners."""
    one, two, three, four = corners
    limit1, limit2 = lowered(one[winner]), lowered(two[winner])
    limit3, limit4 = lowered(three[winner]), lowered(four[winner])
    for k in range(one.shape[0]):
        kept[k] &= (
            (raised(one[k]) >= limit1)
            | (raised(two[k]) >= limit2)
            | (raised(three[k]) >= limit3)
            | (raised(four[k]) >= limit4)
        )


@compiled()
def candidates(corners: Corners, ids: tuple[int, int, int, int], kept: Codes, found: Ints) -> int:
    """Write the classes that may win between four corners, and return how many they are."""
    kept[:] = 1
    for number in range(4):
        known = False
        for earlier in range(number):
            known |= ids[earlier] == ids[number]
        if not known:
            leave_out_lower(corners, max(ids[number], -1 - ids[number]), kept)
    count = 0
    for k in range(kept.shape[0]):
        found[count] = k
        count += kept[k]
    return count


@compiled()
def interpolate(
    corners: Corners,
    k: Scalar,
    rows: tuple[Floats, Floats],
    cols: tuple[Floats, Floats],
    out: Floats,
) -> None:
    """Write a class's scores within a cell, in PyTorch's order: first along the rows."""
    height, width = rows[0].shape[0], cols[0].shape[0]
    one, two, three, four = corners[0][k], corners[1][k], corners[2][k], corners[3][k]
    upper, lower = out[-2 * LARGEST_CELL : -LARGEST_CELL], out[-LARGEST_CELL:]
    for j in range(width):
        upper[j] = one * cols[0][j] + two * cols[1][j]
        lower[j] = three * cols[0][j] + four * cols[1][j]
    for i in range(height):
        for j in range(width):
            out[i * width + j] = upper[j] * rows[0][i] + lower[j] * rows[1][i]


@compiled()
def label_cells(
    start: int,
    stop: int,
    scores: Floats,
    winners: Ints,
    row_cells: Ints,
    col_cells: Ints,
    rows: tuple[Floats, Floats],
    cols: tuple[Floats, Floats],
    labels: NDArray[Any],
) -> None:
    """Label the pixels between two coarse rows, for some pairs (image, row of cells).

    Args:
        start: first pair.
        stop: end of the pairs.
        scores: (N, h, w, K).
        winners: (N, h, w), as `find_winners` writes them.
        row_cells: (cells, 4): first output, end, low input, high input.
        col_cells: the same of the other axis.
        rows: low and high weights of the outputs.
        cols: the same of the other axis.
        labels: (N, H, W), written.
    """
    kept, found = np.empty(scores.shape[3], np.int32), np.empty(scores.shape[3], np.int64)
    best, best_ids = np.empty(LARGEST_AREA, np.float32), np.empty(LARGEST_AREA, np.int32)
    values = np.empty(LARGEST_AREA + 2 * LARGEST_CELL, np.float32)
    for item in range(start, stop):
        image, row = item // row_cells.shape[0], item % row_cells.shape[0]
        top, bottom, low, high = row_cells[row]
        upper, lower = winners[image, low], winners[image, high]
        row_weights = (rows[0][top:bottom], rows[1][top:bottom])
        cell = 0
        while cell < col_cells.shape[0]:
            left, right, near, far = col_cells[cell]
            cell += 1
            winner = upper[near]
            ids = (winner, upper[far], lower[near], lower[far])
            if winner >= 0 and winner == ids[1] and winner == ids[2] and winner == ids[3]:
                while cell < col_cells.shape[0]:  # a run of such cells is filled at once
                    _, end, _, far = col_cells[cell]
                    if upper[far] != winner or lower[far] != winner:
                        break
                    right = end
                    cell += 1
                labels[image, top:bottom, left:right] = winner
                continue
            above, below = scores[image, low], scores[image, high]
            corners = (above[near], above[far], below[near], below[far])
            area = (bottom - top) * (right - left)
            best[:area] = -np.inf
            for number in range(candidates(corners, ids, kept, found)):
                k = np.int32(found[number])
                col_weights = (cols[0][left:right], cols[1][left:right])
                interpolate(corners, k, row_weights, col_weights, values)
                for place in range(area):
                    higher = values[place] > best[place]
                    best[place] = values[place] if higher else best[place]
                    best_ids[place] = k if higher else best_ids[place]
            for i in range(bottom - top):
                for j in range(right - left):
                    labels[image, top + i, left + j] = best_ids[i * (right - left) + j]
