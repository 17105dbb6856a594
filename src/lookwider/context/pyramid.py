"""PSPNet's context: averages over 1 x 1, 2 x 2, 3 x 3 and 6 x 6 regions (Zhao et al. 2017).

Section 3.2 and figure 3: pool the last map into grids of regions, reduce each grid's channels by
a 1 x 1 convolution, upsample the grids and concatenate them to the map.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from torch import Tensor, nn

from lookwider.backbones.contract import Features
from lookwider.context.regions import (
    Pooling,
    RegionSummary,
    check_places,
    summarise_regions,
)
from lookwider.errors import ConfigError, LookwiderError, check_choice
from lookwider.kernels.pyramid import GridAlignment, PyramidParts, Spread
from lookwider.kernels.switches import enabled
from lookwider.layers.deferred import DeferredMap, may_defer
from lookwider.layers.norms import ConvNormReLU, Norm
from lookwider.layers.region_sums import Place

MOST_REGIONS = 16_384
"""Of all grids: they are held at once, and a checkpoint of a stranger may ask for any number."""


class PyramidContext(nn.Module):
    """Concatenate to the last map what grids of regions say of the whole picture.

    For heads that convolve it the concatenation is deferred: their convolution is computed from
    its parts, and it is never made.

    Args:
        channels: widths of the trunk's maps; the last one is pooled, the others pass unchanged.
        bins: regions along each axis, in the order of concatenation: the paper and its PyTorch
            release 1, 2, 3, 6; the Caffe release 6, 3, 2, 1. None for the paper's baseline.
        pooling: average or maximum of a region.
        reduce: divide each grid's channels by the number of grids ("DR" in the paper).
        norm: normalisation of each reduced grid.
        alignment: how a grid lies on the map.
    """

    def __init__(
        self,
        channels: Sequence[int],
        bins: Sequence[int] = (1, 2, 3, 6),
        *,
        pooling: Pooling = "average",
        reduce: bool = True,
        norm: Norm = "batch",
        alignment: GridAlignment = "aligned",
    ) -> None:
        super().__init__()
        if isinstance(bins, (int, str)) or not all(isinstance(n, int) and n > 0 for n in bins):
            raise ConfigError(
                f"got bins {bins!r}, expected positive numbers of regions such as (1, 2, 3, 6)"
            )
        if (regions := sum(n * n for n in bins)) > MOST_REGIONS:
            raise ConfigError(f"got bins of {regions} regions, expected at most {MOST_REGIONS}")
        if reduce and len(bins) > channels[-1]:
            raise ConfigError(
                f"got {len(bins)} bins for {channels[-1]} channels, expected no more; use fewer, "
                "or reduce=false"
            )
        check_choice("pooling", pooling, get_args(Pooling))
        check_choice("grid_alignment", alignment, get_args(GridAlignment))
        self.bins = tuple(bins)
        self.pooling: Pooling = pooling
        self.alignment = alignment
        width = channels[-1]
        reduced = width // len(self.bins) if reduce and self.bins else width
        self.branches = nn.ModuleList(
            ConvNormReLU(width, reduced, 1, norm) if reduce else nn.Identity() for _ in self.bins
        )
        self.channels = (*channels[:-1], width + reduced * len(self.bins))

    def summarise(self, features: Features, places: Sequence[Place] | None = None) -> RegionSummary:
        """Return the sums or maxima of the regions of the last map.

        Args:
            features: the trunk's maps.
            places: where each map of a tile lies in the image's; None for a whole image.
        """
        check_places(features, places)
        place = places[-1] if places is not None else None
        return summarise_regions(features[-1], self.bins, self.pooling, place)

    def pooled_maps(self, features: Features) -> Features:
        """Return the map that each grid of the summary is of."""
        return (features[-1],) * len(self.bins)

    def fuse(
        self, features: Features, summary: RegionSummary, places: Sequence[Place] | None = None
    ) -> Features:
        """Return the maps, to the last of which the upsampled grids are concatenated.

        Shape:
            (N, C, h, w) -> (N, C + bins * C', h, w) for the last map.

        Raises:
            LookwiderError: batch normalisation has a single value per channel to train on.
        """
        last = features[-1]
        if not self.bins:
            return features
        place = Place.whole(last) if places is None else places[-1]
        grids = tuple(
            self._branch(branch, pooled.to(last.dtype))
            for branch, pooled in zip(self.branches, summary.pooled(), strict=True)
        )
        parts = PyramidParts(last, grids, Spread.onto(last, place, self.alignment))
        deferred = may_defer(last) and enabled("heads") and _pays(parts)
        return (*features[:-1], DeferredMap(parts) if deferred else parts.put_together())

    @property
    def needs_several_images(self) -> bool:
        """Whether training on one image at a time is impossible: one region, batch normalised.

        Synchronised over processes (`nn.SyncBatchNorm`, no `nn.BatchNorm2d`) it is possible.
        """
        return 1 in self.bins and any(
            isinstance(module, nn.BatchNorm2d) for module in self.branches.modules()
        )

    def _branch(self, branch: nn.Module, pooled: Tensor) -> Tensor:
        if self.training and self.needs_several_images and pooled.shape[0] == 1:
            raise LookwiderError(
                "got one image, but batch normalisation of its one average needs at least 2 "
                "images; use batch_size=2 or more, norm=group, or bins without 1"
            )
        reduced: Tensor = branch(pooled)
        return reduced


def _pays(parts: PyramidParts) -> bool:
    """Whether the grids have fewer cells than their upsampled copies: so unless a map is tiny."""
    cells = sum(grid.shape[-2] * grid.shape[-1] for grid in parts.grids)
    return cells < len(parts.grids) * parts.spread.height * parts.spread.width
