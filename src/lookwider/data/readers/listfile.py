"""A list file: one "image label" a line, relative to the list's folder.

Separate the two by a tab where paths hold spaces. The lists ``train.txt``, ``val.txt`` and
``test.txt`` in one folder are the splits of one data set; naming any of them opens it. An only
list of another name is split by holding out a tenth of its images.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from lookwider.data.readers.pairs import Listing, Pair, read_names
from lookwider.data.readers.splits import HELD_OUT, SPLIT_NAMES, hold_out, split_of
from lookwider.errors import DataError

LIST_SUFFIXES = frozenset({".txt", ".lst", ".list", ".tsv"})


def recognise(path: Path) -> bool:
    """Whether a path is a list file by its suffix."""
    return path.suffix.lower() in LIST_SUFFIXES and path.is_file()


def splits(path: Path) -> tuple[str, ...]:
    """Return the splits: the lists beside this one, or the train and val that are made."""
    there = _siblings(path)
    return tuple(s for s in SPLIT_NAMES if s in there) if there else ("train", "val")


def list_split(path: Path, split: str) -> Listing:
    """List one split.

    Raises:
        DataError: a line is not an image and a label, or a file is listed twice.
    """
    there = _siblings(path)
    listing = Listing(_read(there[split] if there else path))
    if not there:
        chosen = frozenset(hold_out([pair.name for pair in listing.pairs], split))
        note = f"one list only: one image of {HELD_OUT}, chosen by its name, is held out as val"
        kept = tuple(pair for pair in listing.pairs if pair.name in chosen)
        listing = replace(listing, pairs=kept, notes=(note,))
    return listing


def _siblings(path: Path) -> dict[str, Path]:
    if split_of(path.stem) is None:
        return {}
    lists = sorted(path.parent.glob(f"*{path.suffix}"))
    return {split: other for other in lists if (split := split_of(other.stem))}


def _read(path: Path) -> tuple[Pair, ...]:
    pairs: dict[str, Pair] = {}
    root = path.parent
    for number, line in enumerate(read_names(path), start=1):
        parts = [part.strip() for part in line.split("\t")] if "\t" in line else line.split()
        if len(parts) != 2:
            raise DataError(
                f"{path}: entry {number} is {line!r}, expected an image and a label; put a tab "
                "between the two where a path holds spaces"
            )
        image, label = (root / part.replace("\\", "/") for part in parts)
        name = Path(os.path.relpath(image, root)).with_suffix("").as_posix()
        if name in pairs:
            raise DataError(f"{path}: entry {number} lists the image {parts[0]!r} a second time")
        pairs[name] = Pair(name, image, label)
    if not pairs:
        raise DataError(f"{path}: is empty, expected one image and its label a line")
    return tuple(pairs.values())
