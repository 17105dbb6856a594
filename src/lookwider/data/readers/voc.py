"""PASCAL VOC's segmentation set, and SBD's further labels in both forms they come in."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from lookwider.classes import ClassMap
from lookwider.data.readers.pairs import Listing, Pair, read_names
from lookwider.errors import DataError
from lookwider.known_classes import VOC

CLASS_MAP = ClassMap.identity(21)
"""Labels hold the class ids; 255 is void."""

LISTS = Path("ImageSets/Segmentation")

_VOC_NAME = re.compile(r"\d{4}_\d{6}")


def home(root: Path) -> Path | None:
    """Return the folder with ``JPEGImages/``: the root, or ``VOC2012/`` or the like below it."""
    below = [*root.glob("VOC20*"), *root.glob("VOCdevkit/VOC20*")] if root.is_dir() else []
    candidates = [root, *sorted(below, reverse=True)]
    return next((c for c in candidates if (c / "JPEGImages").is_dir()), None)


def recognise(root: Path) -> bool:
    """Whether a folder is laid out as VOC's and its images are named as VOC's are.

    Other data in this layout is a plain folder: its classes are not VOC's.
    """
    folder = home(root)
    if folder is None or not any((folder / LISTS).glob("*.txt")):
        return False
    return any(_VOC_NAME.fullmatch(path.stem) for path in (folder / "JPEGImages").iterdir())


def splits(root: Path) -> tuple[str, ...]:
    """Return the lists that are there: train, val, trainval, and trainaug where SBD was added."""
    folder = home(root) or root
    return tuple(sorted(path.stem for path in (folder / LISTS).glob("*.txt")))


def list_split(root: Path, split: str) -> Listing:
    """List one split.

    A line is a name, or, as in SBD's list, an image and a label relative to the folder
    (``/JPEGImages/a.jpg /SegmentationClassAug/a.png``). Labels of a split whose name holds "aug"
    are in ``SegmentationClassAug/``.
    """
    folder = home(root) or root
    labels = "SegmentationClassAug" if "aug" in split else "SegmentationClass"
    pairs = []
    for line in read_names(folder / LISTS / f"{split}.txt"):
        parts = line.split()
        if len(parts) == 1:
            image, label = f"JPEGImages/{line}.jpg", f"{labels}/{line}.png"
        elif len(parts) == 2:
            image, label = (part.lstrip("/") for part in parts)
        else:
            raise DataError(
                f"{folder / LISTS / split}.txt: got {line!r}, expected a name, or an image and "
                "a label"
            )
        pairs.append(Pair(PurePosixPath(image).stem, folder / image, folder / label))
    return Listing(tuple(pairs), VOC, CLASS_MAP)


def sbd_home(root: Path) -> Path | None:
    """Return the folder with SBD's ``img/`` and ``cls/``."""
    candidates = [root, root / "dataset", root / "benchmark_RELEASE/dataset"]
    return next((c for c in candidates if (c / "img").is_dir() and (c / "cls").is_dir()), None)


def recognise_sbd(root: Path) -> bool:
    """Whether a folder is SBD's own release, with .mat labels."""
    return sbd_home(root) is not None


def sbd_splits(root: Path) -> tuple[str, ...]:
    """Return SBD's lists that are there."""
    folder = sbd_home(root) or root
    return tuple(s for s in ("train", "val") if (folder / f"{s}.txt").is_file())


def list_sbd_split(root: Path, split: str) -> Listing:
    """List one split of SBD: ``img/NAME.jpg`` and ``cls/NAME.mat``."""
    folder = sbd_home(root) or root
    names = read_names(folder / f"{split}.txt")
    pairs = (Pair(n, folder / "img" / f"{n}.jpg", folder / "cls" / f"{n}.mat") for n in names)
    return Listing(tuple(pairs), VOC, CLASS_MAP)
