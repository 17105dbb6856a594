"""ParseNet's context: the average feature of the whole image (Liu et al. 2015, section 3)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from lookwider.backbones.contract import Features
from lookwider.context.regions import RegionSummary, check_places, summarise_regions
from lookwider.errors import ConfigError, LookwiderError
from lookwider.kernels.switches import enabled
from lookwider.layers.deferred import may_defer
from lookwider.layers.l2_norm import L2Norm, squared_lengths
from lookwider.layers.region_sums import Place


class GlobalContext(nn.Module):
    """Average some maps over the image, and normalise these averages and the local maps alike.

    The fused maps are the local ones, fine to coarse, then one of 1 x 1 cells per average. The
    paper replicates the average to every place ("unpool") and concatenates; a classifier is
    linear, so scoring the 1 x 1 maps and adding the scores everywhere is the same.

    Args:
        channels: widths of the trunk's maps.
        local: positions of the maps that are fused place by place.
        pooled: positions of the maps that are averaged; none for the paper's baseline.
        normalise: L2-normalise every map, with a learned scale per channel.
        scale: initial value of these scales.
        across_spatial: one length for a whole map instead of one per place.
        channel_shared: one scale for all channels of a map.
        learned_scale: whether the scales are learned.
        dropout: share of the averages' channels dropped in training (the release: 0.3).
    """

    def __init__(
        self,
        channels: Sequence[int],
        local: Sequence[int],
        pooled: Sequence[int],
        *,
        normalise: bool = True,
        scale: float = 10.0,
        across_spatial: bool = False,
        channel_shared: bool = False,
        learned_scale: bool = True,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise ConfigError(f"got a dropout of {dropout}, expected a share from 0 to below 1")
        self.local, self.pooled = tuple(local), tuple(pooled)
        self.across_spatial = normalise and across_spatial
        self.channels = tuple(channels[i] for i in (*self.local, *self.pooled))

        def norm(position: int) -> nn.Module:
            if not normalise:
                return nn.Identity()
            return L2Norm(
                channels[position],
                scale=scale,
                across_spatial=across_spatial,
                channel_shared=channel_shared,
                learned=learned_scale,
            )

        self.local_norms = nn.ModuleList(norm(i) for i in self.local)
        self.global_norms = nn.ModuleList(norm(i) for i in self.pooled)
        self.dropout = nn.Dropout(dropout)

    def summarise(self, features: Features, places: Sequence[Place] | None = None) -> RegionSummary:
        """Return the sums over the image of the pooled maps, with their counts.

        A tile's map that is divided by the length of the whole one gives its part of that too:
        the sum of squares, after the sums of the pooled maps.

        Args:
            features: the trunk's maps.
            places: where each map of a tile lies in the image's; None for a whole image.
        """
        check_places(features, places)
        parts = [
            summarise_regions(features[i], (1,), "average", places[i] if places else None)
            for i in self.pooled
        ]
        if self.across_spatial and places is not None:
            parts += [
                summarise_regions(squared_lengths(features[i]), (1,), "average", places[i])
                for i in self.local
            ]
        return RegionSummary(
            "average",
            tuple(value for part in parts for value in part.values),
            tuple(seen for part in parts for seen in part.seen),
            tuple(count for part in parts for count in part.counts),
            tuple(size for part in parts for size in part.sizes),
        )

    def pooled_maps(self, features: Features) -> Features:
        """Return the map that each grid of the summary is of."""
        return tuple(features[i] for i in self.pooled)

    def fuse(
        self, features: Features, summary: RegionSummary, places: Sequence[Place] | None = None
    ) -> Features:
        """Return the local maps, normalised, then the image's averages, normalised.

        Shape:
            (N, C_i, h_i, w_i) each -> the local ones, then (N, C_j, 1, 1) each.

        Raises:
            LookwiderError: tiles of the image are missing from the summary, or were summarised
                without their places.
        """
        averages_of = summary.pooled()[: len(self.pooled)]
        local = tuple(
            _normalised(norm, features[i], squares)
            for norm, i, squares in zip(
                self.local_norms, self.local, self._squares(summary, places), strict=True
            )
        )
        averages: tuple[Tensor, ...] = tuple(
            self.dropout(norm(average.to(features[i].dtype)))
            for norm, i, average in zip(self.global_norms, self.pooled, averages_of, strict=True)
        )
        return (*local, *averages)

    def _squares(
        self, summary: RegionSummary, places: Sequence[Place] | None
    ) -> Sequence[Tensor | None]:
        """Return the squared length of each whole local map, where tiles are divided by it."""
        if not self.across_spatial or places is None:
            return [None] * len(self.local)
        found = summary.values[len(self.pooled) :]
        if len(found) != len(self.local):
            raise LookwiderError(
                f"got a summary of {len(found)} lengths of whole maps, expected "
                f"{len(self.local)}; summarise tiles with their places"
            )
        return found


def _normalised(norm: nn.Module, maps: Tensor, squares: Tensor | None) -> Tensor:
    """Return normalised maps, deferred if possible: a classifier's scores are divided instead."""
    if not isinstance(norm, L2Norm):
        plain: Tensor = norm(maps)
        return plain
    # of a replaced or derived norm nothing is known
    deferred = type(norm) is L2Norm and may_defer(maps) and enabled("heads")
    normalised: Tensor = norm(maps, deferred=deferred, squares=squares)
    return normalised
