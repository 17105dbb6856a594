"""PASCAL-Context: VOC 2010's images with 59 classes of things and stuff, with background or not.

Labels are the full annotation, ``trainval/NAME.mat`` (or .png) with values to 459, or the reduced
one, ``SegmentationClassContext/NAME.png`` with 0..59. The 60-class form has background as class 0
and ignores nothing (as FCN trains it); the 59-class form ignores background.
"""

from __future__ import annotations

from pathlib import Path

from lookwider.classes import Classes, ClassMap
from lookwider.data.labels import LABEL_SUFFIXES
from lookwider.data.readers import voc
from lookwider.data.readers.pairs import Listing, Pair, files_by_name, read_names
from lookwider.data.readers.splits import SPLIT_NAMES
from lookwider.errors import DataError
from lookwider.known_classes import (
    PASCAL_CONTEXT_59,
    PASCAL_CONTEXT_60,
    PASCAL_CONTEXT_IDS,
    PASCAL_CONTEXT_LABELS,
)

REDUCED = "SegmentationClassContext"
FULL = "trainval"
LISTS = ("", "ImageSets/SegmentationContext", "ImageSets/Main")


def class_map(num_classes: int, *, full: bool) -> ClassMap:
    """Return the class map of 60 or 59 classes from the full or the reduced annotation.

    Example:
        >>> class_map(59, full=False).ids[1], class_map(60, full=True).ids[2]
        (0, 1)
    """
    values = PASCAL_CONTEXT_IDS if full else range(1, 60)
    named = {value: i + num_classes - 59 for i, value in enumerate(values)}
    rest = set(range((PASCAL_CONTEXT_LABELS if full else 59) + 1)) - named.keys()
    void = set() if full else {255}  # 255 is an ordinary label of the full annotation
    if num_classes == 60:
        return ClassMap(named | dict.fromkeys(rest, 0), frozenset(void))
    return ClassMap(named, frozenset(rest | void))


def recognise(root: Path) -> bool:
    """Whether a folder holds either annotation and VOC's images."""
    return _labels(root) is not None and voc.home(root) is not None


def splits(root: Path) -> tuple[str, ...]:
    """Return the splits that have a list; without any list the whole is "trainval"."""
    return tuple(s for s in SPLIT_NAMES if _list(root, s)) or ("trainval",)


def list_split(root: Path, split: str) -> Listing:
    """List one split with 60 classes."""
    return _list_split(root, split, PASCAL_CONTEXT_60)


def list_split_59(root: Path, split: str) -> Listing:
    """List one split with 59 classes."""
    return _list_split(root, split, PASCAL_CONTEXT_59)


def _list_split(root: Path, split: str, classes: Classes) -> Listing:
    images, labels = voc.home(root), _labels(root)
    if images is None or labels is None:
        raise DataError(f"{root}: expected JPEGImages/ and {FULL}/ or {REDUCED}/")
    there = files_by_name(labels, LABEL_SUFFIXES)
    list_file = _list(root, split)
    names = read_names(list_file) if list_file else list(there)
    # VOC's own lists name images that PASCAL-Context never labelled
    pairs = tuple(
        Pair(name, images / "JPEGImages" / f"{name}.jpg", there[name])
        for name in names
        if name in there
    )
    full = labels.name == FULL
    return Listing(pairs, classes, class_map(len(classes), full=full))


def _labels(root: Path) -> Path | None:
    folders = [root] if voc.home(root) in (None, root) else [root, voc.home(root) or root]
    for folder in folders:
        for name in (REDUCED, FULL):
            if (folder / name).is_dir():
                return folder / name
    return None


def _list(root: Path, split: str) -> Path | None:
    folders = [root, voc.home(root) or root]
    candidates = [folder / part / f"{split}.txt" for folder in folders for part in LISTS]
    return next((path for path in candidates if path.is_file()), None)
