"""An exported network before it is a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lookwider.export.parity import Run


@dataclass(frozen=True)
class Artefact:
    """What a format's module makes of a network.

    Attributes:
        write: writes it to a path, with what the file tells of itself.
        read: reads it back as whoever uses it would, and returns what runs it.
        judge: name and version of the runtime that runs it.
        least_side: the least height and width that it takes.
        notes: what a user of the file has to know.
    """

    write: Callable[[Path, Mapping[str, str]], None]
    read: Callable[[Path], Run]
    judge: str
    least_side: int = 1
    notes: tuple[str, ...] = ()
