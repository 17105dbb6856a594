"""One prediction at a time in a work folder."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lookwider.errors import LookwiderError


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file while the block goes on; it goes with the process, however that ends.

    Folders that are made for it and hold nothing afterwards are removed with it.

    Raises:
        LookwiderError: another process holds it.
    """
    made = [folder for folder in path.parents if not folder.exists()]
    descriptor = _taken(path)
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield
    finally:
        path.unlink(missing_ok=True)  # before it is let go: nobody else's is removed
        os.close(descriptor)
        for folder in made:
            with suppress(OSError):  # where there is something in it by now
                folder.rmdir()


def _taken(path: Path) -> int:
    """Return the descriptor of the lock file, held, and still the file of that name."""
    import fcntl  # not on every system, and only work folders need it

    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:
            continue  # its folder was removed by who held it before
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 200, 0).decode("utf-8", "replace") or "another process"
            os.close(descriptor)
            raise LookwiderError(
                f"{path.with_suffix('')}: {holder} is working there, expected nobody; wait for "
                "its end or stop it, or take another folder with --out"
            ) from error
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        os.close(descriptor)  # who held it removed it between opening and locking
