"""Cityscapes: ``leftImg8bit/SPLIT/CITY/`` and ``gtFine/SPLIT/CITY/``, 19 classes."""

from __future__ import annotations

from pathlib import Path

from lookwider.classes import ClassMap
from lookwider.data.readers.pairs import Listing, Pair, find_files, name_of
from lookwider.images import IMAGE_SUFFIXES
from lookwider.known_classes import CITYSCAPES, CITYSCAPES_IDS

IDS = ClassMap(
    {value: index for index, value in enumerate(CITYSCAPES_IDS)},
    frozenset(set(range(-1, 34)) - set(CITYSCAPES_IDS) | {255}),
)
"""Of ``*_labelIds.png``; -1 (and 255, how 8 bits hold it) is the licence plate."""

TRAIN_IDS = ClassMap.identity(19)
"""Of ``*_labelTrainIds.png``."""

_IMAGE_END = "_leftImg8bit"


def recognise(root: Path) -> bool:
    """Whether a folder holds ``leftImg8bit/`` and ``gtFine/``."""
    return (root / "leftImg8bit").is_dir() and (root / "gtFine").is_dir()


def splits(root: Path) -> tuple[str, ...]:
    """Return the splits that are there."""
    return tuple(s for s in ("train", "val", "test") if (root / "leftImg8bit" / s).is_dir())


def list_split(root: Path, split: str) -> Listing:
    """List one split, with ``*_labelIds.png`` or else ``*_labelTrainIds.png``."""
    images, labels = root / "leftImg8bit" / split, root / "gtFine" / split
    found = find_files(images, IMAGE_SUFFIXES)
    names = [name_of(path, images).removesuffix(_IMAGE_END) for path in found]
    ending, class_map = "_gtFine_labelIds.png", IDS
    if not any((labels / f"{name}{ending}").exists() for name in names):
        ending, class_map = "_gtFine_labelTrainIds.png", TRAIN_IDS
    pairs, bare = [], []
    for name, image in zip(names, found, strict=True):
        label = labels / f"{name}{ending}"
        if label.exists():
            pairs.append(Pair(name, image, label))
        else:
            bare.append(image)
    return Listing(tuple(pairs), CITYSCAPES, class_map, unpaired_images=tuple(bare))
