"""ADE20K's scene parsing benchmark: 150 classes stored as 1..150, 0 is everything else."""

from __future__ import annotations

from pathlib import Path

from lookwider.classes import ClassMap
from lookwider.data.labels import LABEL_SUFFIXES
from lookwider.data.readers.pairs import Listing, files_by_name, pair_by_name
from lookwider.images import IMAGE_SUFFIXES
from lookwider.known_classes import ADE20K

CLASS_MAP = ClassMap({value: value - 1 for value in range(1, 151)}, frozenset({0}))
"""The shift by one that this data set needs; 255 is no value of it."""

FOLDERS = {"train": "training", "val": "validation"}


def recognise(root: Path) -> bool:
    """Whether ``images/training/`` and ``annotations/training/`` (or validation) hold ADE20K.

    Other data in this layout is a plain folder, so that its 0 is not ignored.
    """
    return any(
        path.name.startswith("ADE_")
        for split in splits(root)
        for path in (root / "images" / FOLDERS[split]).iterdir()
    )


def splits(root: Path) -> tuple[str, ...]:
    """Return the splits that are there."""
    return tuple(
        split
        for split, folder in FOLDERS.items()
        if (root / "images" / folder).is_dir() and (root / "annotations" / folder).is_dir()
    )


def list_split(root: Path, split: str) -> Listing:
    """List one split."""
    pairs, images, labels = pair_by_name(
        files_by_name(root / "images" / FOLDERS[split], IMAGE_SUFFIXES),
        files_by_name(root / "annotations" / FOLDERS[split], LABEL_SUFFIXES),
    )
    return Listing(pairs, ADE20K, CLASS_MAP, unpaired_images=images, unpaired_labels=labels)
