"""Which images go in tiles."""

from __future__ import annotations

from pathlib import Path

from lookwider.errors import ConfigError, DataError
from lookwider.inference.large.budget import Cost, Tiling, fits_whole, measured_cost
from lookwider.inference.large.job import OnProgress
from lookwider.inference.large.reading import image_size
from lookwider.inference.large.segment import LargeReport, predict_large
from lookwider.inference.large.work import WorkFolder
from lookwider.models import Segmenter


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


class Tiler:
    """Segments in tiles the images that are too large for one piece.

    What a tile takes in memory is measured once, when it is first needed.

    Args:
        model: on the device to compute on, compiled for inference.
        out: folder of the results.
        tiling: when and how.
    """

    def __init__(self, model: Segmenter, out: str | Path, tiling: Tiling) -> None:
        self.model, self.out, self.tiling = model, out, tiling
        self._cost: Cost | None = None

    def needs_tiles(self, path: Path, name: str) -> bool:
        """Return whether an image is too large for one piece, or was begun in tiles.

        A file that cannot be read is not: its reason is told where images are read whole.
        """
        if WorkFolder(self.out, name).job() is not None:
            return True
        try:
            size = image_size(path)
        except DataError:
            return False
        if self.tiling.tile is not None:
            return max(size) > self.tiling.tile
        assert self.tiling.max_memory is not None
        return not fits_whole(self.cost(), size, self.tiling.max_memory)

    def segment(self, path: Path, name: str, on_progress: OnProgress) -> LargeReport:
        """Segment an image in tiles; see `predict_large`."""
        cost = self.cost() if self.tiling.tile is None else None
        return predict_large(
            self.model,
            path,
            self.out,
            self.tiling,
            name=name,
            cost=cost,
            on_progress=lambda words: on_progress(f"{name}: {words}"),
        )

    def cost(self) -> Cost:
        """Return what a tile takes in memory."""
        if self._cost is None:
            self._cost = measured_cost(self.model)
        return self._cost
