"""Sums and maxima over the regions of a pyramid, of whole maps and of tiles of them.

Region i of n along an axis of length h reaches from floor(i h / n) to ceil((i + 1) h / n), as in
adaptive pooling: regions overlap where n does not divide h.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function

from lookwider.errors import LookwiderError
from lookwider.layers.modes import full_precision


@dataclass(frozen=True)
class Place:
    """Where a tile lies in the whole map, in cells.

    Attributes:
        top: the tile's first row.
        left: the tile's first column.
        height: of the whole map.
        width: of the whole map.
    """

    top: int
    left: int
    height: int
    width: int

    @classmethod
    def whole(cls, features: Tensor) -> Place:
        """The place of a map that is whole."""
        return cls(0, 0, int(features.shape[-2]), int(features.shape[-1]))


def region_bounds(length: int, regions: int) -> list[tuple[int, int]]:
    """Return first and last + 1 of each region along an axis.

    Example:
        >>> region_bounds(7, 3)
        [(0, 3), (2, 5), (4, 7)]
    """
    return [(i * length // regions, -(-(i + 1) * length // regions)) for i in range(regions)]


def region_counts(place: Place, size: tuple[int, int], bins: int) -> Tensor:
    """Return how many cells of each region a tile of this (height, width) holds.

    Shape:
        (bins, bins) int64.

    Example:
        >>> region_counts(Place(0, 0, 4, 4), (2, 4), 2).tolist()
        [[4, 4], [0, 0]]
    """
    rows = _membership(place.height, place.top, size[0], [bins]).sum(1)
    cols = _membership(place.width, place.left, size[1], [bins]).sum(1)
    return torch.outer(rows, cols)


def region_sums(features: Tensor, bins: Sequence[int], place: Place) -> tuple[Tensor, ...]:
    """Return the sum over each region of what the tile holds of it, for every number of bins.

    All bins are done at once: rows are summed by one matrix of zeros and ones, columns by
    another. Sums are float32 at least, also under autocast.

    Shape:
        (N, C, h, w) -> (N, C, b, b) for each b of ``bins``.
    """
    if has_torch_function((features,)):  # receptive fields are traced through it as one step
        traced: tuple[Tensor, ...] = handle_torch_function(
            region_sums, (features,), features, bins, place
        )
        return traced
    with full_precision(features.device):
        wide = features.to(torch.promote_types(features.dtype, torch.float32))
        height, width = wide.shape[-2:]
        rows = _membership(place.height, place.top, height, bins).to(wide)
        cols = _membership(place.width, place.left, width, bins).to(wide)
        sums = rows @ (wide @ cols.T)  # (N, C, sum of bins, sum of bins)
    found, start = [], 0
    for count in bins:
        found.append(sums[..., start : start + count, start : start + count])
        start += count
    return tuple(found)


def region_maxima(features: Tensor, bins: Sequence[int], place: Place) -> tuple[Tensor, ...]:
    """Return the maximum over what the tile holds of each region; minus infinity where nothing.

    Shape:
        (N, C, h, w) -> (N, C, b, b) for each b of ``bins``.
    """
    if has_torch_function((features,)):
        traced: tuple[Tensor, ...] = handle_torch_function(
            region_maxima, (features,), features, bins, place
        )
        return traced
    return tuple(_maxima(features, count, place) for count in bins)


def check_place(features: Tensor, place: Place) -> None:
    """Raise a `LookwiderError` when a tile reaches out of its map."""
    height, width = features.shape[-2:]
    inside = place.top >= 0 and place.left >= 0
    if not inside or place.top + height > place.height or place.left + width > place.width:
        raise LookwiderError(
            f"got a tile of {height}x{width} cells at row {place.top}, column {place.left}, "
            f"expected one inside the map of {place.height}x{place.width}"
        )


def _membership(length: int, first: int, cells: int, bins: Sequence[int]) -> Tensor:
    """Return which of a tile's cells belong to which region: (regions of all bins, cells)."""
    bounds = torch.tensor([bound for count in bins for bound in region_bounds(length, count)])
    cell = torch.arange(first, first + cells)
    return (cell >= bounds[:, :1]) & (cell < bounds[:, 1:])


def _maxima(features: Tensor, bins: int, place: Place) -> Tensor:
    height, width = features.shape[-2:]
    rows = []
    for top, bottom in _within(place.height, place.top, height, bins):
        cells = []
        for left, right in _within(place.width, place.left, width, bins):
            part = features[..., top:bottom, left:right]
            empty = top >= bottom or left >= right
            cells.append(
                features.new_full(features.shape[:2], -torch.inf) if empty else part.amax((-2, -1))
            )
        rows.append(torch.stack(cells, dim=-1))
    return torch.stack(rows, dim=-2)


def _within(length: int, first: int, cells: int, bins: int) -> list[tuple[int, int]]:
    """Return the bounds of each region within a tile, counted from its first cell."""
    return [
        (min(max(start - first, 0), cells), min(max(end - first, 0), cells))
        for start, end in region_bounds(length, bins)
    ]
