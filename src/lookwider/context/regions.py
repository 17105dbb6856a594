"""The summary of all region contexts: sums and counts, or maxima, per region."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lookwider.errors import LookwiderError
from lookwider.kernels.regions import region_maxima_in_one_pass, region_sums_in_one_pass
from lookwider.kernels.switches import enabled
from lookwider.layers.deferred import is_unobserved
from lookwider.layers.region_sums import (
    Place,
    check_place,
    region_counts,
    region_maxima,
    region_sums,
)

Pooling = Literal["average", "max"]


@dataclass(frozen=True, eq=False)
class RegionSummary:
    """What the regions of one or more maps hold.

    Attributes:
        pooling: ``"average"`` keeps sums, ``"max"`` maxima.
        values: per grid of regions (N, C, b, b), float32 or wider for sums.
        seen: per grid (b, b) cells of the regions that were summarised.
        counts: per grid (b, b) cells of the regions of the whole map.
        sizes: per grid the (height, width) of the whole map, in cells.
    """

    pooling: Pooling
    values: tuple[Tensor, ...]
    seen: tuple[Tensor, ...]
    counts: tuple[Tensor, ...]
    sizes: tuple[tuple[int, int], ...]

    def merge(self, other: RegionSummary) -> RegionSummary:
        """Return the summary of two parts of the same image.

        Parts must not share a cell; the order in which all are merged does not matter.

        Raises:
            LookwiderError: they are parts of different images or of different contexts.
        """
        if (self.pooling, self.sizes) != (other.pooling, other.sizes):
            raise LookwiderError(
                f"cannot merge a summary of {other.pooling} over maps of {list(other.sizes)} "
                f"cells into one of {self.pooling} over {list(self.sizes)}; merge tiles of one "
                "image seen by one model"
            )
        join = torch.add if self.pooling == "average" else torch.maximum
        values = tuple(join(a, b) for a, b in zip(self.values, other.values, strict=True))
        seen = tuple(a + b for a, b in zip(self.seen, other.seen, strict=True))
        return RegionSummary(self.pooling, values, seen, self.counts, self.sizes)

    def to(self, device: torch.device | str, dtype: torch.dtype) -> RegionSummary:
        """Return the same with its sums or maxima on a device, in a dtype."""
        # converted on the CPU: not every device has every dtype
        values = tuple(value.cpu().to(dtype).to(device) for value in self.values)
        return dataclasses.replace(self, values=values)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing that anything could depend on."""
        return not self.values

    def pooled(self) -> tuple[Tensor, ...]:
        """Return the average or maximum of each region.

        Shape:
            (N, C, b, b) per grid.

        Raises:
            LookwiderError: tiles of the map are missing, or were merged twice.
        """
        for seen, count, size in zip(self.seen, self.counts, self.sizes, strict=True):
            if seen is not count and not torch.equal(seen, count):
                raise LookwiderError(
                    f"got a summary of {int(seen.sum())} cells of regions, expected "
                    f"{int(count.sum())} of a map of {size[0]}x{size[1]}; merge every tile of "
                    "the image exactly once"
                )
        if self.pooling == "max":
            return self.values
        return tuple(
            value / count.to(value) for value, count in zip(self.values, self.counts, strict=True)
        )

    def with_pooled(self, pooled: Sequence[Tensor]) -> RegionSummary:
        """Return a summary of the same regions that hold these averages or maxima instead.

        Every region counts as a single cell, so that `pooled` gives the very same values back.

        Shape:
            (N, C, b, b) per grid, as `pooled` returns them.

        Raises:
            LookwiderError: there are other grids or shapes than this summary's.

        Example:
            >>> own = summarise_regions(torch.ones(1, 2, 4, 4), (1,), "average")
            >>> own.with_pooled([torch.full((1, 2, 1, 1), 5.0)]).pooled()[0].flatten().tolist()
            [5.0, 5.0]
        """
        own, given = ([tuple(value.shape) for value in grids] for grids in (self.values, pooled))
        if own != given:
            raise LookwiderError(
                f"got averages or maxima of shapes {given}, expected {own}; take them from the "
                "same model's summary of as many images"
            )
        once = tuple(torch.ones_like(count) for count in self.counts)
        return RegionSummary(self.pooling, tuple(pooled), once, once, self.sizes)


def summarise_regions(
    features: Tensor, bins: Sequence[int], pooling: Pooling, place: Place | None = None
) -> RegionSummary:
    """Summarise one map, or a tile of it, over grids of 1 x 1, 2 x 2, ... regions.

    Shape:
        (N, C, h, w).

    Raises:
        LookwiderError: the tile reaches out of the map.
    """
    place = Place.whole(features) if place is None else place
    check_place(features, place)
    whole = Place(0, 0, place.height, place.width)
    size = (int(features.shape[-2]), int(features.shape[-1]))
    counts = tuple(region_counts(whole, (place.height, place.width), count) for count in bins)
    complete = size == (place.height, place.width)
    return RegionSummary(
        pooling,
        _pooling_function(features, pooling)(features, bins, place) if bins else (),
        counts if complete else tuple(region_counts(place, size, count) for count in bins),
        counts,
        ((place.height, place.width),) * len(bins),
    )


def _pooling_function(
    features: Tensor, pooling: Pooling
) -> Callable[[Tensor, Sequence[int], Place], tuple[Tensor, ...]]:
    """Return what pools these features: in a single pass where that is faster and the same."""
    fast = is_unobserved(features) and enabled("regions") and features.numel() > 0
    if pooling == "average":
        return region_sums_in_one_pass if fast and features.stride(1) == 1 else region_sums
    recorded = torch.is_grad_enabled() and features.requires_grad
    return region_maxima_in_one_pass if fast and not recorded else region_maxima


def check_places(features: Sequence[Tensor], places: Sequence[Place] | None) -> None:
    """Raise a `LookwiderError` when a tile does not say the place of each of its maps."""
    if places is not None and len(places) != len(features):
        raise LookwiderError(f"got {len(places)} places, expected one per map: {len(features)}")
