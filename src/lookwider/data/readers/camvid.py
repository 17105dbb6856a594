"""CamVid road scenes as segmentation papers use them: 11 classes, 367 / 101 / 233 images."""

from __future__ import annotations

from pathlib import Path

from lookwider.classes import ClassMap
from lookwider.data.labels import LABEL_SUFFIXES
from lookwider.data.readers.pairs import Listing, files_by_name, pair_by_name
from lookwider.images import IMAGE_SUFFIXES
from lookwider.known_classes import CAMVID

CLASS_MAP = ClassMap({i: i for i in range(11)}, frozenset({11, 255}))
"""Labels hold 0..10 and 11 for void."""


SEQUENCES = ("0001TP", "0006R0", "0016E5", "Seq05VD")
"""The four drives; every image is named after its own."""


def recognise(root: Path) -> bool:
    """Whether a folder has ``train/`` beside ``trainannot/``, or another split so, of CamVid.

    Other data in this layout is a plain folder: its labels mean something else.
    """
    return any(
        path.name.startswith(SEQUENCES)
        for split in splits(root)
        for path in (root / split).iterdir()
    )


def splits(root: Path) -> tuple[str, ...]:
    """Return the splits that are there."""
    return tuple(
        split
        for split in ("train", "val", "test")
        if (root / split).is_dir() and (root / f"{split}annot").is_dir()
    )


def list_split(root: Path, split: str) -> Listing:
    """List ``SPLIT/`` and ``SPLITannot/``, images of any format."""
    pairs, images, labels = pair_by_name(
        files_by_name(root / split, IMAGE_SUFFIXES),
        files_by_name(root / f"{split}annot", LABEL_SUFFIXES),
    )
    return Listing(pairs, CAMVID, CLASS_MAP, unpaired_images=images, unpaired_labels=labels)
