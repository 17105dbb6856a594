"""One row of a manifest: what became of an image."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from lookwider.errors import LookwiderError, MissingExtraError
from lookwider.inference.bulk.job import BulkImage

Status = Literal["done", "failed", "skipped"]
"""Skipped: its label map was there already and was left alone on request."""


@dataclass(frozen=True)
class Record:
    """What became of an image.

    Attributes:
        name: what its results are called.
        path: where it was read.
        status: see `Status`.
        error: why it failed.
        seconds: of work on it: reading, its share of the network's time, writing.
        together: how many images of one size went through the network at once, it among them.
        height: of the image, in pixels.
        width: of the image.
        image_bytes: size of its file.
        image_modified: when that was changed last, in nanoseconds since 1970.
        image_sha256: hash of its file.
        labels_sha256: hash of the label map's file, ``NAME.png``.
        finished: when, in milliseconds since 1970.
    """

    name: str
    path: str
    status: Status
    error: str | None = None
    seconds: float = 0.0
    together: int | None = None
    height: int | None = None
    width: int | None = None
    image_bytes: int | None = None
    image_modified: int | None = None
    image_sha256: str | None = None
    labels_sha256: str | None = None
    finished: int = dataclasses.field(
        default_factory=lambda: int(datetime.now(UTC).timestamp() * 1000)
    )

    @classmethod
    def failed(cls, image: BulkImage, error: str, seconds: float = 0.0) -> Record:
        """Return the record of an image that could not be segmented."""
        return cls(image.name, image.source, "failed", error, seconds)


def reason_of(error: Exception) -> str:
    """Return what a failed image's record says.

    Example:
        >>> reason_of(LookwiderError("a.png: damaged")), reason_of(KeyError("x"))
        ('a.png: damaged', "KeyError: 'x'")
    """
    if isinstance(error, (LookwiderError, MissingExtraError)):
        return str(error)
    return f"{type(error).__name__}: {error}"
