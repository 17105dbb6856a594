"""One huge image over many workers: summaries are reduced, tiles are mapped."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator, Sequence

from lookwider.errors import ConfigError
from lookwider.inference.bulk.engines import Engine, engine_of
from lookwider.inference.bulk.tile_work import ImageJob, Step, TileShare
from lookwider.inference.large.job import OnProgress, TiledJob, passes_of
from lookwider.inference.tiles import OwnContextPlan, Tile

SHARES = 4
"""So many shares of the tiles each worker gets, so that all end at about the same time."""


class SharedTiles:
    """Does an image's tiles by many workers: the ``run`` of `predict_large`.

    Args:
        job: the image.
        workers: how many.
        engine: ``"local"`` or ``"ray"``.
        address: of a Ray cluster.

    Raises:
        ConfigError: there is no such engine, or there are no workers.
    """

    def __init__(
        self, job: ImageJob, workers: int, engine: str = "local", address: str | None = None
    ) -> None:
        self.workers, self.attempts = workers, job.attempts
        self.engine: Engine = engine_of(engine, job, workers, address)

    def __call__(self, job: TiledJob, tell: OnProgress) -> int:
        """Do whatever is not finished; return how many tiles were."""
        if isinstance(job.plan, OwnContextPlan):
            raise ConfigError(
                "got tiles with their own context for several workers, expected the whole image's: "
                "they are blended one after the other; leave out one of the two"
            )
        shutil.rmtree(self.attempts, ignore_errors=True)  # of workers that were stopped
        first, second = job.unfinished_summaries(), job.unfinished_labels()
        steps: tuple[tuple[Step, list[Tile]], ...] = (("summarise", first), ("label", second))
        for step, tiles in steps:
            shares = list(self._shares(step, [tile.index for tile in tiles]))
            started = time.monotonic()
            with contextlib.closing(self.engine.segment(shares)) as answers:
                for done, _ in enumerate(answers, start=1):
                    left = (time.monotonic() - started) / done * (len(shares) - done)
                    words = f"{step}: {done} of {len(shares)} shares of the tiles"
                    tell(f"{words}, about {left:.0f} s left")
        return passes_of(job.plan) * len(job.plan.tiles) - len(first) - len(second)

    def _shares(self, step: Step, tiles: Sequence[int]) -> Iterator[TileShare]:
        size = -(-len(tiles) // (self.workers * SHARES)) or 1
        for number, start in enumerate(range(0, len(tiles), size)):
            yield TileShare(number, step, tuple(tiles[start : start + size]))
