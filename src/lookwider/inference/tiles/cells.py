"""The cells of a whole image's maps, and which pixels reach each: traced, without any data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lookwider.context import RegionSummary
from lookwider.errors import ConfigError, LookwiderError
from lookwider.layers.field_axes import Axis, Cells
from lookwider.layers.grids import Grid
from lookwider.layers.receptive_fields import TracedLayer, trace_fields
from lookwider.layers.region_sums import Place
from lookwider.layers.taps import Taps
from lookwider.models import Segmenter
from lookwider.scores import ScoreMap


@dataclass(frozen=True, eq=False)
class CellAxis:
    """One axis of a whole image's map.

    Attributes:
        stride: pixels from cell to cell.
        offset: centre of the first cell, in pixels.
        first: per cell, the first pixel that reaches it.
        last: per cell, the last + 1.
        pixels: of the image.
    """

    stride: int
    offset: float
    first: Cells
    last: Cells
    pixels: int

    def __len__(self) -> int:
        return len(self.first)

    def before(self, pixel: int) -> int:
        """Return how many cells have their centre before a pixel; before the image's end all."""
        if pixel >= self.pixels:
            return len(self)
        return min(max(math.ceil((pixel - self.offset) / self.stride), 0), len(self))

    def reached(self, cells: slice) -> slice:
        """Return the pixels that reach any of some cells, at least one."""
        return slice(int(self.first[cells].min()), int(self.last[cells].max()))

    def holding(self, cells: slice) -> slice:
        """Return the pixels of a window whose own map has these cells at all."""
        end = self.pixels - self.stride * (len(self) - cells.stop)
        return slice(min(cells.start * self.stride, self.pixels), max(end, 0))

    def uncut(self, cells: slice, window: slice) -> int:
        """Return how many of some cells are reached by no pixel beyond a window."""
        inside = (self.first[cells] >= window.start) & (self.last[cells] <= window.stop)
        return int(inside.sum())


@dataclass(frozen=True, eq=False)
class WholeMaps:
    """All that a tile must know of the whole image.

    Attributes:
        maps: rows and columns of each of the trunk's maps.
        scores: rows and columns of the main head's scores.
        taps: from these scores to the image's rows and columns.
        step: windows begin and end at multiples of it, so that their cells are the image's.
        has_context: whether a place's scores depend on the summary of the image.
        blurred: the layer that mixes all places of the image, if one does.
    """

    maps: tuple[tuple[CellAxis, CellAxis], ...]
    scores: tuple[CellAxis, CellAxis]
    taps: tuple[Taps, Taps]
    step: int
    has_context: bool
    blurred: str | None

    @classmethod
    def of(cls, model: Segmenter, size: tuple[int, int]) -> WholeMaps:
        """Trace a model at the size of an image.

        Raises:
            LookwiderError: the network cannot take images of that size.
            ConfigError: a layer resizes its maps by a factor that depends on the image's size,
                or a map cannot be followed back to the image.
        """
        local = _LocalScores(model)
        try:
            traced = trace_fields(local, model.preprocessing.in_channels, size)
        except (AssertionError, RuntimeError) as error:
            raise LookwiderError(
                f"the network cannot take an image of {size[0]}x{size[1]} pixels: {error}"
            ) from error
        assert local.found is not None
        names = [*model.backbone.layers, "the scores"]
        for number, name in enumerate(names):
            if f"[{number}]" not in traced:
                raise ConfigError(
                    f"got a network whose map {name} cannot be followed back to pixels, expected "
                    "one of convolutions: where its cells lie in a tile is unknown; let tiles "
                    "keep their own context"
                )
        layers = [traced[f"[{number}]"] for number in range(len(names))]
        grids = [*model.backbone.grids, model.segmentation_heads()[0].grid]
        axes = [_cell_axes(layer, grid, size) for layer, grid in zip(layers, grids, strict=True)]
        return cls(
            maps=tuple(axes[:-1]),
            scores=axes[-1],
            taps=(local.found.rows, local.found.cols),
            step=_step(traced, grids),
            has_context=local.has_context,
            blurred=_first_blurred(traced, layers),
        )


class _LocalScores(nn.Module):
    """The maps and main scores of a network whose summary is another image's.

    Args:
        model: whose parts it runs.
    """

    def __init__(self, model: Segmenter) -> None:
        super().__init__()
        backbone: Any = model.backbone
        context: Any = model.context
        self.backbone, self.context = backbone, context
        self.head = next(iter(model.heads.values()))
        self.found: ScoreMap | None = None
        self.has_context = False

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the trunk's maps, then the scores."""
        features = self.backbone(images)
        places = [Place.whole(maps) for maps in features]
        summary = self.context.summarise(features, places)
        self.has_context = not summary.is_empty
        if isinstance(summary, RegionSummary):
            # tensors that were not made of the image: nothing of it is traced through them
            blank = [torch.empty_like(value) for value in summary.values]
            summary = summary.with_pooled(blank)
        size = (int(images.shape[-2]), int(images.shape[-1]))
        self.found = self.head(self.context.fuse(features, summary, places), size)
        return (*features, self.found.scores)


_ALMOST = 1e-6
"""Of a pixel: what rounding may make of a law's whole numbers."""


def _cell_axes(layer: TracedLayer, grid: Grid, size: tuple[int, int]) -> tuple[CellAxis, CellAxis]:
    rows, cols = (
        _cell_axis(axis, grid, pixels)
        for axis, pixels in zip((layer.row_axis, layer.col_axis), size, strict=True)
    )
    return rows, cols


def _cell_axis(axis: Axis, grid: Grid, pixels: int) -> CellAxis:
    """Return which pixels reach each cell: those that are traced and those of the law.

    The law also tells of cells near the border that see its padding and no pixel next to it, and
    which tiles elsewhere do not have.
    """
    field = axis.field
    if math.isinf(field.size):
        low, high = np.zeros(len(axis)), np.full(len(axis), float(pixels))
    else:
        centres = field.offset + field.skew + field.stride * np.arange(len(axis))
        low = np.floor(centres - (field.size - 1) / 2 + _ALMOST)
        high = np.ceil(centres + (field.size - 1) / 2 - _ALMOST) + 1
    seen = axis.first <= axis.last
    first = np.where(seen, np.minimum(axis.first, low), low).clip(0, pixels).astype(np.int64)
    last = np.where(seen, np.maximum(axis.last + 1, high), high).clip(0, pixels).astype(np.int64)
    return CellAxis(int(grid.stride), grid.offset, first, last, pixels)


def _step(traced: dict[str, TracedLayer], grids: Sequence[Grid]) -> int:
    """Return the least common multiple of all strides.

    Raises:
        ConfigError: a stride is no whole number: it depends on the image's size.
    """
    strides = {grid.stride for grid in grids}
    for name, layer in traced.items():
        for field in (layer.rows, layer.cols):
            if math.isfinite(field.size) and field.stride != int(field.stride):
                raise ConfigError(
                    f"got a layer, {name}, whose cells are {Fraction(field.stride)} pixels apart, "
                    "expected whole numbers: it resizes its maps by a factor that depends on the "
                    "image's size, which tiles cannot; use tiles that keep their own context"
                )
            if math.isfinite(field.size):
                strides.add(field.stride)
    return math.lcm(*(max(1, int(stride)) for stride in strides))


def _first_blurred(traced: dict[str, TracedLayer], used: Sequence[TracedLayer]) -> str | None:
    """Return the first layer whose places see the whole image, if any of the used ones does."""

    def endless(layer: TracedLayer) -> bool:
        return math.isinf(layer.rows.size) or math.isinf(layer.cols.size)

    if not any(map(endless, used)):
        return None
    return next(name for name, layer in traced.items() if endless(layer))
