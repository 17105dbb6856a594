"""How often an image was begun and not ended: one that ends its workers is given up."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

MOST = 3
"""So often an image is begun. The first time others are in the worker too, then it is alone."""


class Attempts:
    """Counts of the images that are being worked on, kept in a folder beside the results.

    A worker that dies leaves its counts behind, whatever ended it and whichever engine started
    it. Where the whole job ends no image is to blame: `abandon` and `forgive` take back what was
    begun last.

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
        self._held: dict[str, Path] = {}
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)

    def count(self, name: str) -> int:
        """Return how often an image was begun since it was last ended."""
        return next(k for k in range(MOST + 1) if k == MOST or not self._mark(name, k + 1).exists())

    def begin(self, name: str) -> int:
        """Note that an image is begun; return for which time."""
        with self._lock:
            time = min(self.count(name) + 1, MOST)
            self._held[name] = self._mark(name, time)
            self._held[name].touch()
        return time

    def end(self, name: str) -> None:
        """Note that an image was segmented or has failed."""
        with self._lock:
            self._held.pop(name, None)
            for time in range(MOST, 0, -1):
                self._mark(name, time).unlink(missing_ok=True)

    def abandon(self) -> None:
        """Take back what was begun here and not ended; this process is about to end."""
        self._lock.acquire()  # for good: nothing is begun any more
        for mark in self._held.values():
            mark.unlink(missing_ok=True)

    def forgive(self) -> None:
        """Take back the last time that each image was begun; the workers have been ended.

        Example:
            >>> import tempfile
            >>> attempts = Attempts(Path(tempfile.mkdtemp()))
            >>> attempts.begin("a"), attempts.begin("b"), attempts.begin("b")
            (1, 1, 2)
            >>> attempts.forgive(), attempts.count("a"), attempts.count("b")
            (None, 0, 1)
        """
        last = {mark.stem: mark for mark in sorted(self.folder.iterdir())}
        for mark in last.values():
            mark.unlink(missing_ok=True)

    def _mark(self, name: str, time: int) -> Path:
        digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
        return self.folder / f"{digest}.{time}"
