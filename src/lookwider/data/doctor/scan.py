"""The data doctor's look at one image and its label."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from lookwider.data.labels import LabelValues, StoredLabel, count_values, read_stored
from lookwider.data.readers.pairs import Pair
from lookwider.errors import DataError, MissingExtraError
from lookwider.images import read_image


@dataclass(frozen=True)
class BadFile:
    """A file that cannot be used, and why."""

    path: str
    reason: str

    @classmethod
    def of(cls, path: Path, error: Exception) -> BadFile:
        """Return the file with an error's message, which need not name the file again."""
        message = str(error).removeprefix("label ").removeprefix(str(path)).removeprefix(":")
        return cls(str(path), message.strip())


@dataclass(frozen=True)
class PairScan:
    """What one pair of files holds.

    Attributes:
        split: the split that it is in.
        pair: its files.
        size: (height, width) of the image; None where it cannot be read.
        bands: bands of the image.
        dtype: type of the image's pixels.
        digest: hash of the image file, to find the same image in two splits.
        encoding: how the label is stored, in words.
        label: the label's values and their counts; None where it cannot be read.
        extra: the same of the extra labels, by head name.
        bad: what is wrong.
    """

    split: str
    pair: Pair
    size: tuple[int, int] | None
    bands: int
    dtype: str
    digest: str
    encoding: str
    label: LabelValues | None
    extra: dict[str, LabelValues]
    bad: tuple[BadFile, ...]


def scan_pair(split: str, pair: Pair) -> PairScan:
    """Read and decode all files of a pair; what fails is noted, never raised."""
    bad: list[BadFile] = []
    size, bands, dtype, digest = _scan_image(pair.image, bad)
    label, encoding = None, ""
    extra: dict[str, LabelValues] = {}
    for head, path in {"": pair.label, **pair.extra_labels}.items():
        found = _scan_label(path, size, bad)
        if found is None:
            continue
        stored, values = found
        if head:
            extra[head] = values
        else:
            label, encoding = values, _encoding(path, stored, values)
    return PairScan(split, pair, size, bands, dtype, digest, encoding, label, extra, tuple(bad))


def _scan_image(path: Path, bad: list[BadFile]) -> tuple[tuple[int, int] | None, int, str, str]:
    try:
        image = read_image(path)
        digest = hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    except (DataError, MissingExtraError, OSError, MemoryError) as error:
        bad.append(BadFile.of(path, error))
        return None, 0, "", ""
    height, width, bands = image.shape
    return (height, width), bands, str(image.dtype), digest


def _scan_label(
    path: Path, size: tuple[int, int] | None, bad: list[BadFile]
) -> tuple[StoredLabel, LabelValues] | None:
    try:
        stored = read_stored(path)
        values = count_values(stored, f"label {path}")
    except (DataError, OSError, MemoryError) as error:
        bad.append(BadFile.of(path, error))
        return None
    if size is not None and stored.values.shape != size:
        height, width = stored.values.shape
        bad.append(
            BadFile(
                str(path),
                f"label is {height} x {width} (height x width) but its image is "
                f"{size[0]} x {size[1]}, expected the same size",
            )
        )
    return stored, values


def _encoding(path: Path, stored: StoredLabel, values: LabelValues) -> str:
    if stored.encoding == "rgb":
        return "RGB colours"
    if path.suffix.lower() == ".mat":
        return "MATLAB"
    if stored.palette is not None:
        return "palette"
    if set(values.counts) <= {0, 255} and 255 in values.counts:
        return "0/255 mask"
    return f"index, {stored.values.dtype}"
