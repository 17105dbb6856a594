"""Sums and maxima over all regions of a pyramid in a single pass over the map.

The bounds of all regions cut each axis into a few intervals, of which every region is a run. Each
value of the map is read once, for its interval; the regions are put together from the intervals,
by matrices of zeros and ones, so that every sum is exact up to the rounding of additions.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from lookwider.layers.modes import full_precision
from lookwider.layers.region_sums import Place, region_bounds

ROWS, COLS = 1, 2
"""Axes of a channels-last map."""


def region_sums_in_one_pass(
    features: Tensor, bins: Sequence[int], place: Place
) -> tuple[Tensor, ...]:
    """Return the sum over each region of what a tile holds of it, as `region_sums` does.

    Fast where the channels of a cell lie side by side.

    Shape:
        (N, C, h, w) -> (N, C, b, b) for each b of ``bins``, float32 at least.
    """
    (row_cuts, row_runs), (col_cuts, col_runs) = _axes(features, bins, place)
    wide = torch.promote_types(features.dtype, torch.float32)
    last = features.permute(0, 2, 3, 1)
    by_row = [part.sum(ROWS, dtype=wide) for part in torch.split(last, row_cuts, ROWS)]
    stacked = torch.stack(by_row, dim=ROWS)  # (N, intervals, w, C)
    by_cell = [part.sum(COLS) for part in torch.split(stacked, col_cuts, COLS)]
    parts = torch.stack(by_cell, dim=COLS)  # (N, intervals, intervals, C)
    with full_precision(features.device):
        return tuple(
            torch.einsum(
                "ay,bx,nyxc->ncab", _members(rows, parts, ROWS), _members(cols, parts, COLS), parts
            )
            for rows, cols in zip(row_runs, col_runs, strict=True)
        )


def region_maxima_in_one_pass(
    features: Tensor, bins: Sequence[int], place: Place
) -> tuple[Tensor, ...]:
    """Return the maximum over what a tile holds of each region, as `region_maxima` does.

    For inference: where several cells reach a maximum, the gradient would be shared otherwise.

    Shape:
        (N, C, h, w) -> (N, C, b, b) for each b of ``bins``; minus infinity where nothing.
    """
    (row_cuts, row_runs), (col_cuts, col_runs) = _axes(features, bins, place)
    last = features.permute(0, 2, 3, 1)
    by_row = [part.amax(ROWS) for part in torch.split(last, row_cuts, ROWS)]
    by_cell = [p.amax(COLS) for p in torch.split(torch.stack(by_row, ROWS), col_cuts, COLS)]
    parts = torch.stack(by_cell, dim=COLS)
    return tuple(
        _run_maxima(_run_maxima(parts, rows, ROWS), cols, COLS).permute(0, 3, 1, 2)
        for rows, cols in zip(row_runs, col_runs, strict=True)
    )


def _run_maxima(parts: Tensor, runs: Run, axis: int) -> Tensor:
    """Return the maximum of each run of intervals; minus infinity of none."""
    nothing = torch.full_like(parts.select(axis, 0), -torch.inf)
    found = [
        parts.narrow(axis, start, end - start).amax(axis) if end > start else nothing
        for start, end in runs
    ]
    return torch.stack(found, dim=axis)


def _members(runs: Run, parts: Tensor, axis: int) -> Tensor:
    """Return which intervals make up each region: (regions, intervals) zeros and ones."""
    member = [[float(start <= i < end) for i in range(parts.shape[axis])] for start, end in runs]
    return parts.new_tensor(member)


Run = tuple[tuple[int, int], ...]
"""First and last + 1 of each region's intervals."""

Axis = tuple[list[int], tuple[Run, ...]]
"""Lengths of the intervals of an axis, and the runs of them for each number of bins."""


def _axes(features: Tensor, bins: Sequence[int], place: Place) -> tuple[Axis, Axis]:
    height, width = (int(length) for length in features.shape[-2:])
    return (
        _intervals(place.height, place.top, height, tuple(bins)),
        _intervals(place.width, place.left, width, tuple(bins)),
    )


@functools.lru_cache(maxsize=256)
def _intervals(length: int, first: int, cells: int, bins: tuple[int, ...]) -> Axis:
    """Return the lengths of a tile's intervals, and of which of them each region is made.

    Example:
        >>> _intervals(7, 0, 7, (1, 3))
        ([2, 1, 1, 1, 2], (((0, 5),), ((0, 2), (1, 4), (3, 5))))
    """
    within = [
        [tuple(min(max(bound - first, 0), cells) for bound in region) for region in regions]
        for regions in (region_bounds(length, count) for count in bins)
    ]
    cuts = sorted({0, cells, *(bound for regions in within for r in regions for bound in r)})
    number = {cut: i for i, cut in enumerate(cuts)}
    runs = tuple(tuple((number[top], number[end]) for top, end in regions) for regions in within)
    return [after - before for before, after in itertools.pairwise(cuts)], runs
