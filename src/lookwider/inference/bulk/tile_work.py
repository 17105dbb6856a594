"""One worker's share of a huge image's tiles."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from lookwider.errors import LookwiderError
from lookwider.inference.bulk.attempts import MOST, Attempts
from lookwider.inference.bulk.records import Record
from lookwider.inference.compiled import for_inference, named_dtype
from lookwider.inference.device import choose_device
from lookwider.inference.large.budget import Tiling, make_plan
from lookwider.inference.large.job import TiledJob
from lookwider.inference.large.reading import open_windows
from lookwider.inference.large.work import WorkFolder, network_identity
from lookwider.inference.tiles import Tile
from lookwider.weights.checkpoint import load

Step = Literal["summarise", "label"]
"""The two passes: what the tiles saw, and, within what all saw, their labels."""


@dataclass(frozen=True)
class TileShare:
    """Some of an image's tiles, in one pass.

    Attributes:
        number: of the share within its pass.
        step: which pass.
        tiles: their indices.
    """

    number: int
    step: Step
    tiles: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many tiles."""
        return len(self.tiles)

    def to_json(self) -> list[Any]:
        """Return it as JSON holds it."""
        return [self.number, self.step, list(self.tiles)]

    @classmethod
    def from_json(cls, values: list[Any]) -> TileShare:
        """Return the share that `to_json` describes."""
        return cls(values[0], values[1], tuple(values[2]))


@dataclass(frozen=True)
class ImageJob:
    """An image whose tiles are shared out; its work folder is on a disk of all workers.

    Attributes:
        run: a run folder or a checkpoint; every worker loads it.
        path: of the image.
        out: folder of the results.
        name: what the results are called.
        device: auto, cpu, cuda or cuda:N.
        dtype: float32, bfloat16 or auto.
    """

    run: Path
    path: Path
    out: Path
    name: str
    device: str = "auto"
    dtype: str = "float32"

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        places = {name: str(getattr(self, name).absolute()) for name in ("run", "path", "out")}
        return {**dataclasses.asdict(self), **places}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> ImageJob:
        """Return the job that `to_json` describes."""
        places = {name: Path(values[name]) for name in ("run", "path", "out")}
        return cls(**{**values, **places})

    @property
    def folder(self) -> Path:
        """What is there only while the job is not finished."""
        return WorkFolder(self.out, self.name).folder

    @property
    def attempts(self) -> Path:
        """Where workers note which tiles they have begun."""
        return self.folder / "attempts"


class TileWork:
    """What one worker does: shares of the tiles, of which those that are finished are left out.

    Raises:
        LookwiderError: the work folder is of another model, device or dtype.
    """

    def __init__(self, job: ImageJob) -> None:
        model = load(job.run, device=choose_device(job.device))
        model = for_inference(model, named_dtype(job.dtype))
        work = WorkFolder(job.out, job.name)
        about = work.job() or {}
        differing = [k for k, own in network_identity(model).items() if about.get(k) != own]
        if differing:
            raise LookwiderError(
                f"{work.folder}: is of another {' and '.join(differing)} than {job.run} in "
                f"{job.dtype} on {model.device.type}, expected what the tiles were planned for; "
                "give --device where not all machines have the same"
            )
        copied = work.copy.exists()
        self.image = open_windows(work.copy if copied else job.path, as_stored=copied)
        plan = make_plan(model, self.image.size, about["tile"], Tiling(**about["settings"]))
        self.tiles = TiledJob(model, self.image, plan, work)
        self.attempts = Attempts(job.attempts)

    @property
    def idle(self) -> bool:
        """Always: a share is done when it comes."""
        return True

    def take(self, order: list[Any] | None) -> list[tuple[int, list[Record]]]:
        """Do a share, as JSON holds it; return its number.

        Raises:
            LookwiderError: a tile ended several workers before.
        """
        if order is None:
            return []
        share = TileShare.from_json(order)
        if share.step == "summarise":
            for tile in self._of(share, self.tiles.unfinished_summaries()):
                with self._attempt(share.step, tile):
                    self.tiles.summarise(tile)
        else:
            left = self._of(share, self.tiles.unfinished_labels())
            done = self.tiles.label(left)
            for tile in left:
                with self._attempt(share.step, tile):
                    next(done)
        return [(share.number, [])]

    def _of(self, share: TileShare, tiles: list[Tile]) -> list[Tile]:
        return [tile for tile in tiles if tile.index in share.tiles]

    @contextmanager
    def _attempt(self, step: Step, tile: Tile) -> Iterator[None]:
        """Note that a tile is begun, until the block ends in any way but this process's end."""
        name = f"{step} {tile.index}"
        begun = self.attempts.count(name)
        try:
            if begun == MOST:
                raise LookwiderError(
                    f"{MOST} workers ended in tile {tile.index}; is the memory enough for fewer "
                    "workers, or smaller tiles?"
                )
            self.attempts.begin(name)
            yield
        finally:
            self.attempts.end(name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.image.__exit__(kind, error, trace)
