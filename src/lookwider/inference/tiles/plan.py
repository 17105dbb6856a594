"""Tiles whose predictions are those of the whole image.

The first pass summarises every tile's own cells, and the summaries merge into the image's. The
second fuses that with the features of each tile. A tile reads more pixels than it answers for: so
many that every cell that is used sees in the tile what it sees in the image. Tiles begin at
multiples of the network's strides, so their cells are cells of the image; and they end at such
multiples before the image's end, so that padding that depends on the size is the image's too.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from lookwider.context import Summary
from lookwider.errors import ConfigError, LookwiderError
from lookwider.inference.tiles.cells import CellAxis, WholeMaps
from lookwider.inference.tiles.spans import Span, share_uncut, spans
from lookwider.layers.modes import evaluating
from lookwider.layers.region_sums import Place
from lookwider.models import Segmenter
from lookwider.scores import ScoreMap

Box = tuple[slice, slice]
"""Rows and columns of an image."""


@dataclass(frozen=True, eq=False)
class Tile:
    """A part of an image.

    Attributes:
        index: its number in reading order.
        core: rows and columns of the pixels that it answers for.
        window: rows and columns of the pixels that it reads.
    """

    index: int
    core: Box
    window: Box

    @property
    def window_size(self) -> tuple[int, int]:
        """(height, width) of what it reads."""
        rows, cols = self.window
        return rows.stop - rows.start, cols.stop - cols.start


@dataclass(frozen=True, eq=False)
class TilePlan:
    """How an image is cut into tiles, for one model.

    Made by `TilePlan.for_model`. It follows from the model's structure alone, not from its
    weights, and can be made again at any time.

    Attributes:
        size: (height, width) of the image.
        tile: (height, width) of the cores; those at the bottom and right may be smaller.
        tiles: all of them, in reading order.
        whole: the whole image's maps.
        rows: the tiles' rows, from top to bottom.
        cols: the tiles' columns, from left to right.
    """

    size: tuple[int, int]
    tile: tuple[int, int]
    tiles: tuple[Tile, ...]
    whole: WholeMaps
    rows: tuple[Span, ...]
    cols: tuple[Span, ...]

    @classmethod
    def for_model(
        cls,
        model: Segmenter,
        size: tuple[int, int],
        *,
        tile: tuple[int, int],
        halo: int | None = None,
    ) -> TilePlan:
        """Cut an image into tiles.

        Args:
            model: that they are for.
            size: (height, width) of the image.
            tile: (height, width) of what one tile answers for.
            halo: read at most about so many pixels beyond that, which is faster but not exact
                where `halo_needed` is more; None for all that are needed.

        Raises:
            ConfigError: a size is not positive or the halo negative; or every place of the
                network sees the whole image, so that no halo is enough.
            LookwiderError: the network cannot take images of that size.

        Example:
            >>> from lookwider import create_model
            >>> model = create_model("pspnet", backbone="resnet18")
            >>> plan = TilePlan.for_model(model, (1000, 1500), tile=(512, 512))
            >>> len(plan.tiles), plan.exact, plan.passes
            (6, True, 2)
        """
        _check(size, tile, halo)
        whole = WholeMaps.of(model, size)
        if whole.blurred is not None and halo is None:
            raise ConfigError(
                f"got a network whose layer {whole.blurred} mixes all places of the image, "
                "expected one whose places see a part of it: no tile gives the scores of the "
                "whole image; give a halo to accept other scores, or let tiles keep their own "
                "context"
            )
        rows, cols = (
            spans(
                [axes[axis] for axes in whole.maps] if whole.has_context else [],
                whole.scores[axis],
                whole.taps[axis],
                step=whole.step,
                tile=tile[axis],
                halo=halo,
            )
            for axis in (0, 1)
        )
        boxes = [(row, col) for row in rows for col in cols]
        tiles = tuple(
            Tile(i, (row.core, col.core), (row.window, col.window))
            for i, (row, col) in enumerate(boxes)
        )
        return cls(size, tile, tiles, whole, rows, cols)

    @property
    def step(self) -> int:
        """Windows begin at its multiples, in pixels."""
        return self.whole.step

    @property
    def passes(self) -> int:
        """2 where the image is summarised first, 1 where there is no context."""
        return 2 if self.whole.has_context else 1

    @property
    def exact(self) -> bool:
        """Whether scores are those of the whole image, but for rounding."""
        return all(span.exact for span in (*self.rows, *self.cols))

    @property
    def halo(self) -> int:
        """Pixels that a tile reads beyond its core, at most."""
        return max(span.halo for span in (*self.rows, *self.cols))

    @property
    def halo_needed(self) -> int:
        """Pixels that a tile must read beyond its core to be exact."""
        return max(span.halo_needed for span in (*self.rows, *self.cols))

    @property
    def largest_window(self) -> tuple[int, int]:
        """(height, width) that no tile's window exceeds."""
        heights, widths = zip(*(tile.window_size for tile in self.tiles), strict=True)
        return max(heights), max(widths)

    @property
    def share_cut(self) -> float:
        """Share of cells that see less than in the whole image: of scores or maps, the larger."""
        whole = self.whole
        maps = whole.maps if self.rows[0].owned else ()
        uncut = [
            share_uncut([(whole.scores[axis], span.scores, span.window) for span in found])
            for axis, found in enumerate((self.rows, self.cols))
        ]
        shares = [uncut[0] * uncut[1]]
        for number, axes in enumerate(maps):
            rows, cols = (
                share_uncut([(axes[axis], span.owned[number], span.window) for span in found])
                for axis, found in enumerate((self.rows, self.cols))
            )
            shares.append(rows * cols)
        return 1 - min(shares)

    def summarise(self, model: Segmenter, tile: Tile, pixels: Tensor) -> Summary:
        """Return what a tile's own cells tell the context, on the CPU in float64.

        Args:
            model: that the plan is for.
            tile: one of `tiles`.
            pixels: preprocessed, of its window.

        Shape:
            (N, C, h, w).

        Raises:
            LookwiderError: these are not the window's pixels.
        """
        if self.passes == 1:
            raise LookwiderError(
                "got a network without context, expected one that needs a summary; leave the "
                "first pass out"
            )
        _check_window(tile, pixels)
        rows, cols = self._spans(tile)
        with evaluating(model), torch.inference_mode():
            features = model.features(pixels)
            own, places = [], []
            for maps, place, down, right in zip(
                features, self._places(tile), rows.owned, cols.owned, strict=True
            ):
                own.append(_cropped(maps, place, down, right))
                places.append(Place(down.start, right.start, place.height, place.width))
            found: Summary = model.context.summarise(tuple(own), places)
            return found.to("cpu", torch.float64)

    def merged(self, summaries: Iterable[Summary]) -> Summary:
        """Return the summary of the image.

        Args:
            summaries: of all tiles, in their order: in another one, sums round differently.
        """
        return functools.reduce(lambda a, b: a.merge(b), summaries)

    def scores(
        self, model: Segmenter, tile: Tile, pixels: Tensor, summary: Summary | None = None
    ) -> ScoreMap:
        """Return the main head's scores of a tile's core.

        Args:
            model: that the plan is for.
            tile: one of `tiles`.
            pixels: preprocessed, of its window.
            summary: of the whole image; not needed where a single pass is.

        Shape:
            (N, C, h, w).

        Raises:
            LookwiderError: these are not the window's pixels; or the summary is missing, or not
                of all tiles.
        """
        _check_window(tile, pixels)
        if summary is None and self.passes > 1:
            raise LookwiderError(
                "got no summary of the image, which this network's scores depend on; merge what "
                "summarise() gives for every tile"
            )
        rows, cols = self._spans(tile)
        with evaluating(model), torch.inference_mode():
            features = model.features(pixels)
            places = self._places(tile)
            if summary is None:
                summary = model.context.summarise(features, places)
            wide = torch.promote_types(features[0].dtype, torch.float32)
            summary = summary.to(features[0].device, wide)
            found = model.classify(features, summary, tile.window_size, places)
            scores = next(iter(found.values())).scores
            cut = _cropped(scores, _place(self.whole.scores, tile), rows.scores, cols.scores)
        taps = [
            taps[core].narrowed()[1] for taps, core in zip(self.whole.taps, tile.core, strict=True)
        ]
        return ScoreMap(cut, *taps)

    def _spans(self, tile: Tile) -> tuple[Span, Span]:
        row, col = divmod(tile.index, len(self.cols))
        return self.rows[row], self.cols[col]

    def _places(self, tile: Tile) -> list[Place]:
        """Return where each map of a tile's window lies in the image's."""
        return [_place(axes, tile) for axes in self.whole.maps]


def _place(axes: tuple[CellAxis, CellAxis], tile: Tile) -> Place:
    rows, cols = axes
    top, left = (
        window.start // axis.stride for window, axis in zip(tile.window, axes, strict=True)
    )
    return Place(top, left, len(rows), len(cols))


def _cropped(maps: Tensor, place: Place, rows: slice, cols: slice) -> Tensor:
    """Return some cells, counted in the whole image's map, of the map of a tile."""
    top, left = place.top, place.left
    return maps[..., rows.start - top : rows.stop - top, cols.start - left : cols.stop - left]


def _check(size: tuple[int, int], tile: tuple[int, int], halo: int | None) -> None:
    for name, pair in (("an image", size), ("tiles", tile)):
        if min(pair) < 1:
            raise ConfigError(f"got {name} of {pair[0]}x{pair[1]} pixels, expected at least 1x1")
    if halo is not None and halo < 0:
        raise ConfigError(f"got halo={halo}, expected a number of pixels, or None for an exact one")


def _check_window(tile: Tile, pixels: Tensor) -> None:
    if tuple(pixels.shape[-2:]) != tile.window_size:
        got, expected = ("x".join(map(str, s)) for s in (pixels.shape[-2:], tile.window_size))
        raise LookwiderError(
            f"got {got} pixels, expected the {expected} of the window of tile {tile.index}"
        )
