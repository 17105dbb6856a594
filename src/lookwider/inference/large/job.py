"""The tiles of one image, each done on its own: summaries first, then labels."""

from __future__ import annotations

import bisect
import time
from collections.abc import Callable, Iterator
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lookwider.context import Summary
from lookwider.context.contract import EmptySummary
from lookwider.context.regions import RegionSummary
from lookwider.context.saving import summary_from_tensors, summary_tensors
from lookwider.errors import LookwiderError
from lookwider.inference.large.reading import WindowedImage
from lookwider.inference.large.work import WorkFolder
from lookwider.inference.memory import give_back_freed_memory
from lookwider.inference.tiles import OwnContextPlan, Tile, TilePlan
from lookwider.models import Segmenter

OnProgress = Callable[[str], None]
"""Told in words how far it is."""


class TiledJob:
    """The tiles of an image, of which each can be done on its own.

    Several processes may each do some of the tiles of one work folder: all summaries first, then
    the labels. Every tile's file appears whole or not at all.

    Args:
        model: on the device to compute on.
        image: quick to read in parts.
        plan: of the image, for the model.
        work: where what is finished is kept.
    """

    def __init__(
        self,
        model: Segmenter,
        image: WindowedImage,
        plan: TilePlan | OwnContextPlan,
        work: WorkFolder,
    ) -> None:
        self.model, self.image, self.plan, self.work = model, image, plan, work
        self._row_starts = sorted({tile.core[0].start for tile in plan.tiles})
        self._col_starts = sorted({tile.core[1].start for tile in plan.tiles})

    def run(self, tell: OnProgress) -> int:
        """Do whatever is not finished; return how many tiles were."""
        first, second = self.unfinished_summaries(), self.unfinished_labels()
        tiles, passes = len(self.plan.tiles), passes_of(self.plan)
        left = _TimeLeft(len(first) + len(second))
        for tile in first:
            self.summarise(tile)
            tell(f"pass 1 of 2, tile {tile.index + 1} of {tiles}{left.after_one()}")
        if second:
            for tile in self.label(second):
                words = f"pass {passes} of {passes}, tile {tile.index + 1} of {tiles}"
                tell(words + left.after_one())
        return passes * tiles - len(first) - len(second)

    def unfinished_summaries(self) -> list[Tile]:
        """Return the tiles of the first pass that are to be done."""
        if passes_of(self.plan) == 1 or not self.unfinished_labels():
            return []
        return [tile for tile in self.plan.tiles if self.work.summary(tile.index) is None]

    def unfinished_labels(self) -> list[Tile]:
        """Return the tiles of the last pass that are to be done."""
        return [tile for tile in self.plan.tiles if self._finished(tile) is None]

    def summarise(self, tile: Tile) -> None:
        """Keep a tile's part of the summary."""
        assert isinstance(self.plan, TilePlan)
        found = self.plan.summarise(self.model, tile, self._pixels(tile))
        self.work.save_summary(
            tile.index, summary_tensors(cast(EmptySummary | RegionSummary, found))
        )
        give_back_freed_memory()

    def summary(self) -> Summary | None:
        """Return the summary of the whole image, which all tiles have given their part of."""
        if not isinstance(self.plan, TilePlan) or self.plan.passes == 1:
            return None
        return self.plan.merged(
            summary_from_tensors(self.work.summary(tile.index) or {}) for tile in self.plan.tiles
        )

    def label(self, tiles: list[Tile]) -> Iterator[Tile]:
        """Keep the labels of tiles, and yield each that is done."""
        if isinstance(self.plan, OwnContextPlan):
            yield from self._blend(tiles[0])
            return
        summary = self.summary()
        for tile in tiles:
            scores = self.plan.scores(self.model, tile, self._pixels(tile), summary)
            self.work.save_labels(tile.index, scores.labels()[0].cpu().numpy())
            give_back_freed_memory()
            yield tile

    def labels(self, rows: slice, cols: slice) -> npt.NDArray[np.uint8]:
        """Return the finished labels of a window.

        Raises:
            LookwiderError: a tile is not finished.
        """
        window = np.empty((rows.stop - rows.start, cols.stop - cols.start), np.uint8)
        for row in _reached(self._row_starts, rows):
            for col in _reached(self._col_starts, cols):
                tile = self.plan.tiles[row * len(self._col_starts) + col]
                found = self._finished(tile)
                if found is None:
                    raise LookwiderError(
                        f"{self.work.folder}: tile {tile.index} is missing or damaged, expected "
                        "all of them; give the same command again, which does it anew"
                    )
                to_rows, of_rows = _shared(rows, tile.core[0])
                to_cols, of_cols = _shared(cols, tile.core[1])
                window[to_rows, to_cols] = found[of_rows, of_cols]
        return window

    def _blend(self, first: Tile) -> Iterator[Tile]:
        """Keep the labels of a tile and those after it, each with its own context."""
        assert isinstance(self.plan, OwnContextPlan)
        for tile, shares in self.plan.blended(self.model, self._pixels, first.index):
            self.work.save_labels(tile.index, shares[0].argmax(0).to(torch.uint8).numpy())
            give_back_freed_memory()
            yield tile

    def _finished(self, tile: Tile) -> npt.NDArray[np.uint8] | None:
        rows, cols = tile.core
        return self.work.labels(tile.index, (rows.stop - rows.start, cols.stop - cols.start))

    def _pixels(self, tile: Tile) -> Tensor:
        return self.model.preprocess(self.image.read(*tile.window))


def passes_of(plan: TilePlan | OwnContextPlan) -> int:
    """Return how often each tile goes through the network."""
    return plan.passes if isinstance(plan, TilePlan) else 1


class _TimeLeft:
    def __init__(self, tiles: int) -> None:
        self.tiles, self.done, self.started = tiles, 0, time.monotonic()

    def after_one(self) -> str:
        self.done += 1
        seconds = (time.monotonic() - self.started) / self.done * (self.tiles - self.done)
        return f", about {seconds:.0f} s left"


def _reached(starts: list[int], span: slice) -> range:
    """Return the numbers of the intervals, each up to the next start, that a span reaches."""
    return range(bisect.bisect_right(starts, span.start) - 1, bisect.bisect_left(starts, span.stop))


def _shared(window: slice, core: slice) -> tuple[slice, slice]:
    """Return what two spans share, counted in the first and in the second."""
    start, stop = max(window.start, core.start), min(window.stop, core.stop)
    return (
        slice(start - window.start, stop - window.start),
        slice(start - core.start, stop - core.start),
    )
