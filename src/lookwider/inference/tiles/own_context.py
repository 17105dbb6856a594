"""Tiles that are each an image of their own, blended where they overlap: for comparison.

This is what tiling does to a network that looks at the whole picture: every tile sees its own
context only. The probabilities of overlapping tiles are averaged by weights that fall linearly
towards a tile's edge.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lookwider.errors import ConfigError
from lookwider.inference.tiles.plan import Tile
from lookwider.layers.modes import evaluating
from lookwider.models import Segmenter


@dataclass(frozen=True, eq=False)
class OwnContextPlan:
    """How an image is cut into tiles that keep their own context.

    Attributes:
        size: (height, width) of the image.
        tile: (height, width) of the windows; in smaller images, the image's.
        overlap: pixels that neighbouring windows share, at least.
        tiles: in reading order; a core is what is finished once its tile is blended: the window
            up to where the next ones begin.
    """

    size: tuple[int, int]
    tile: tuple[int, int]
    overlap: int
    tiles: tuple[Tile, ...] = field(repr=False)

    @classmethod
    def for_size(
        cls, size: tuple[int, int], *, tile: tuple[int, int], overlap: int
    ) -> OwnContextPlan:
        """Cut an image into tiles.

        Raises:
            ConfigError: a size is not positive, or the overlap more than half a tile.

        Example:
            >>> plan = OwnContextPlan.for_size((10, 10), tile=(6, 10), overlap=2)
            >>> [tile.window[0] for tile in plan.tiles]
            [slice(0, 6, None), slice(4, 10, None)]
            >>> [tile.core[0] for tile in plan.tiles]
            [slice(0, 4, None), slice(4, 10, None)]
        """
        if min(*size, *tile) < 1 or not 0 <= overlap <= min(tile) // 2:
            raise ConfigError(
                f"got overlap={overlap} of tiles of {tile[0]}x{tile[1]} pixels in an image of "
                f"{size[0]}x{size[1]}, expected positive sizes and an overlap from 0 to half a tile"
            )
        rows, cols = (
            _axis(length, min(side, length), overlap)
            for length, side in zip(size, tile, strict=True)
        )
        tiles = tuple(
            Tile(i, (row[0], col[0]), (row[1], col[1]))
            for i, (row, col) in enumerate(itertools.product(rows, cols))
        )
        return cls(size, tile, overlap, tiles)

    def weights(self, tile: Tile) -> tuple[Tensor, Tensor]:
        """Return the weights of a window's rows and columns; over all windows they sum to 1.

        Shape:
            (h,) and (w,) float32.
        """
        down, right = self._axis_weights
        return down[tile.window[0].start], right[tile.window[1].start]

    @property
    def largest_window(self) -> tuple[int, int]:
        """(height, width) that no tile's window exceeds."""
        height, width = (min(pair) for pair in zip(self.tile, self.size, strict=True))
        return height, width

    @functools.cached_property
    def _axis_weights(self) -> tuple[dict[int, Tensor], dict[int, Tensor]]:
        """The weights along both axes, by where a window begins."""
        found: list[dict[int, Tensor]] = []
        for axis, length in enumerate(self.size):
            spans = {(t.window[axis].start, t.window[axis].stop) for t in self.tiles}
            windows = sorted(spans)
            weights = (_weights(slice(*w), windows, length, self.overlap) for w in windows)
            found.append({w[0]: of_window for w, of_window in zip(windows, weights, strict=True)})
        return found[0], found[1]

    def blended(
        self, model: Segmenter, read: Callable[[Tile], Tensor], first: int = 0
    ) -> Iterator[tuple[Tile, Tensor]]:
        """Yield the probabilities of every tile's core, in reading order.

        Args:
            model: on the device to compute on.
            read: returns the preprocessed pixels of a tile's window (1, C, h, w).
            first: the tile to begin with; those before it that reach into what follows are run
                again.

        Shape:
            (1, K, h, w) float32 each, on the CPU.
        """
        columns = sum(tile.window[0] == self.tiles[0].window[0] for tile in self.tiles)
        wanted = self.tiles[first].window[0].start if first < len(self.tiles) else self.size[0]
        above: Tensor | None = None
        for start in range(0, len(self.tiles), columns):
            row = self.tiles[start : start + columns]
            if row[0].window[0].stop <= wanted:
                continue
            strips = _Strips(row, self.size[1], above)
            for tile in row:
                with evaluating(model), torch.inference_mode():
                    found = next(iter(model.scores(read(tile)).values())).probabilities().cpu()
                down, right = self.weights(tile)
                finished = strips.add(tile, found * (down[:, None] * right))
                if tile.index >= first:
                    yield tile, finished
            above = strips.below


class _Strips:
    """What the tiles of a row leave to those beside and below them.

    Args:
        row: the tiles, from left to right.
        width: of the image.
        above: what the rows before leave to this one (1, K, any rows, width).
    """

    def __init__(self, row: Sequence[Tile], width: int, above: Tensor | None) -> None:
        core, window = row[0].core[0], row[0].window[0]
        self.height, self.rest = core.stop - core.start, window.stop - core.stop
        self.width, self.above = width, above
        self.beside: Tensor | None = None
        self.below: Tensor | None = None

    def add(self, tile: Tile, weighted: Tensor) -> Tensor:
        """Add a tile's weighted probabilities and return its finished core.

        Shape:
            (1, K, h, w) -> (1, K, core h, core w).
        """
        (_, core), (_, cols) = tile.core, tile.window
        if self.below is None:
            self.below = weighted.new_zeros(*weighted.shape[:2], self.rest, self.width)
            if self.above is not None:
                left = self.above[:, :, self.height :]
                self.below[:, :, : left.shape[2]] = left
        self.below[..., cols] += weighted[:, :, self.height :]
        own = weighted[:, :, : self.height]
        if self.beside is not None:
            own[..., : self.beside.shape[-1]] += self.beside
        self.beside = own[..., core.stop - core.start :].clone()
        finished = own[..., : core.stop - core.start].clone()
        if self.above is not None:
            reached = self.above[:, :, : self.height, core]
            finished[:, :, : reached.shape[2]] += reached
        return finished


def _axis(length: int, side: int, overlap: int) -> list[tuple[slice, slice]]:
    """Return core and window of each tile along an axis, as evenly spread as can be."""
    count = 1 if side >= length else -(-(length - overlap) // (side - overlap))
    starts = [i * (length - side) // max(count - 1, 1) for i in range(count)]
    return [
        (slice(start, after), slice(start, start + side))
        for start, after in itertools.pairwise([*starts, length])
    ]


def _weights(window: slice, windows: list[tuple[int, int]], length: int, ramp: int) -> Tensor:
    """Return the weights of a window along one axis: rising and falling where others reach in."""
    place = torch.arange(window.start, window.stop, dtype=torch.float64)

    def height(start: int, stop: int) -> Tensor:
        before = place - start + 0.5 if start > 0 else torch.full_like(place, torch.inf)
        after = stop - place - 0.5 if stop < length else torch.full_like(place, torch.inf)
        return torch.minimum(before, after).clamp(0, max(ramp, 1))

    total = torch.stack([height(*other) for other in windows]).sum(0)
    return (height(window.start, window.stop) / total).float()
