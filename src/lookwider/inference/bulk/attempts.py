"""How often an image was begun and not ended: one that ends its workers is given up."""

from __future__ import annotations

import hashlib
from pathlib import Path

MOST = 3
"""So often an image is begun. The first time others are in the worker too, then it is alone."""


class Attempts:
    """Counts of the images that are being worked on, kept in a folder beside the results.

    A worker that is killed leaves its counts behind, whoever killed it and whichever engine
    started it.

    Args:
        folder: is made when it is not there.

    Example:
        >>> import tempfile
        >>> attempts = Attempts(Path(tempfile.mkdtemp()))
        >>> attempts.begin("a"), attempts.begin("a"), attempts.count("a")
        (1, 2, 2)
        >>> attempts.end("a"), attempts.count("a")
        (None, 0)
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def count(self, name: str) -> int:
        """Return how often an image was begun since it was last ended."""
        return next(k for k in range(MOST + 1) if k == MOST or not self._mark(name, k + 1).exists())

    def begin(self, name: str) -> int:
        """Note that an image is begun; return for which time."""
        time = min(self.count(name) + 1, MOST)
        self._mark(name, time).touch()
        return time

    def end(self, name: str) -> None:
        """Note that an image was segmented or has failed."""
        for time in range(MOST, 0, -1):
            self._mark(name, time).unlink(missing_ok=True)

    def _mark(self, name: str, time: int) -> Path:
        digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
        return self.folder / f"{digest}.{time}"
