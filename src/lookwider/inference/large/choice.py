"""Which images go in tiles."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from lookwider.errors import ConfigError, DataError, MissingExtraError
from lookwider.inference.large.budget import Cost, Tiling, fits_whole, measured_cost
from lookwider.inference.large.job import OnProgress, TiledJob
from lookwider.inference.large.reading import image_size
from lookwider.inference.large.segment import LargeReport, RunTiles, predict_large
from lookwider.inference.large.work import WorkFolder
from lookwider.inference.large.writing import label_path as tiled_label_path
from lookwider.models import Segmenter
from lookwider.predictions import label_path


def check_tiled(*, plain: bool, probabilities: bool) -> None:
    """Raise a `ConfigError` for what tiles cannot give.

    Args:
        plain: whether images go through at their own size, once.
        probabilities: whether they are to be written.
    """
    if not plain:
        raise ConfigError(
            "got tiles together with scales, flip, windows or shift-and-stitch, expected the plain "
            "protocol: leave out those, or --max-memory and --tile"
        )
    if probabilities:
        raise ConfigError(
            "got tiles together with --probabilities, which take a number for every class and "
            "pixel; leave out one of the two"
        )


def is_finished(out: str | Path, name: str) -> bool:
    """Return whether an image's label map is there, and no tiles of it are being worked on.

    A label map beside unfinished tiles is of an earlier prediction.
    """
    paths = label_path(out, name), tiled_label_path(out, name)
    return any(path.is_file() for path in paths) and WorkFolder(out, name).job() is None


class Tiler:
    """Segments in tiles the images that are too large for one piece.

    What a tile takes in memory is measured once, when it is first needed.

    Args:
        model: on the device to compute on, compiled for inference.
        out: folder of the results.
        tiling: when and how.
        run_of: returns what does an image's tiles, from its path and name; this process when None.
    """

    def __init__(
        self,
        model: Segmenter,
        out: str | Path,
        tiling: Tiling,
        run_of: Callable[[Path, str], RunTiles] | None = None,
    ) -> None:
        self.model, self.out, self.tiling, self.run_of = model, out, tiling, run_of
        self._cost: Cost | None = None

    def needs_tiles(self, path: Path, name: str) -> bool:
        """Return whether an image is too large for one piece, or was begun in tiles.

        A file that cannot be read is not: its reason is told where images are read whole.
        """
        if WorkFolder(self.out, name).job() is not None:
            return True
        try:
            size = image_size(path)
        except (DataError, MissingExtraError):
            return False
        if self.tiling.tile is not None and max(size) > self.tiling.tile:
            return True
        budget = self.tiling.each
        return budget is not None and not fits_whole(self.cost(), size, budget)

    def segment(self, path: Path, name: str, on_progress: OnProgress) -> LargeReport:
        """Segment an image in tiles; see `predict_large`."""
        cost = None if self.tiling.each is None else self.cost()
        report = predict_large(
            self.model,
            path,
            self.out,
            self.tiling,
            name=name,
            cost=cost,
            run=TiledJob.run if self.run_of is None else self.run_of(path, name),
            on_progress=lambda words: on_progress(f"{name}: {words}"),
        )
        # Of several processes nobody knows what they held at once.
        return report if self.run_of is None else dataclasses.replace(report, peak_memory=None)

    def cost(self) -> Cost:
        """Return what a tile takes in memory."""
        if self._cost is None:
            self._cost = measured_cost(self.model, self.tiling.each)
        return self._cost
