"""SIFT Flow: outdoor scenes with two labellings, 33 semantic and 3 geometric classes."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from lookwider.classes import ClassMap
from lookwider.data.labels import LABEL_SUFFIXES
from lookwider.data.readers.pairs import Listing, Pair, files_by_name, read_names
from lookwider.errors import DataError
from lookwider.images import IMAGE_SUFFIXES
from lookwider.known_classes import SIFT_FLOW, SIFT_FLOW_GEOMETRIC

SEMANTIC_MAP = ClassMap({value: value - 1 for value in range(1, 34)}, frozenset({0}))
"""Of ``SemanticLabels/``: 0 is unlabelled."""

GEOMETRIC_MAP = ClassMap({value: value - 1 for value in range(1, 4)}, frozenset({-1, 0}))
"""Of ``GeoLabels/``: -1 is unlabelled."""

HEAD = "geometric"
"""The name of the second head."""

_SPLITS = ("train", "val", "trainval", "test")
_ORIGINAL_TEST = "TestSet1.txt"


def recognise(root: Path) -> bool:
    """Whether a folder holds ``Images/``, ``SemanticLabels/`` and ``GeoLabels/``."""
    return all((root / name).is_dir() for name in ("Images", "SemanticLabels", "GeoLabels"))


def splits(root: Path) -> tuple[str, ...]:
    """Return the splits: the lists in the folder, or those of the original release."""
    listed = tuple(split for split in _SPLITS if (root / f"{split}.txt").is_file())
    return listed or (("train", "test") if (root / _ORIGINAL_TEST).is_file() else ("train",))


def list_split(root: Path, split: str) -> Listing:
    """List one split; names are without the folder that holds the scenes.

    The original release lists the test images only; the others are "train" then. Images without
    either label file are reported, not used.
    """
    images = _by_last_name(root / "Images", IMAGE_SUFFIXES)
    semantic = _by_last_name(root / "SemanticLabels", LABEL_SUFFIXES)
    geometric = _by_last_name(root / "GeoLabels", LABEL_SUFFIXES)
    pairs, bare = [], []
    for name in _names(root, split, list(images)):
        if name not in images:
            raise DataError(f"{root}: the split {split!r} names {name!r}, which is not in Images/")
        if name in semantic and name in geometric:
            pairs.append(Pair(name, images[name], semantic[name], {HEAD: geometric[name]}))
        else:
            bare.append(images[name])
    return Listing(
        tuple(pairs),
        SIFT_FLOW,
        SEMANTIC_MAP,
        extra={HEAD: (SIFT_FLOW_GEOMETRIC, GEOMETRIC_MAP)},
        unpaired_images=tuple(bare),
    )


def _by_last_name(folder: Path, suffixes: frozenset[str]) -> dict[str, Path]:
    return {PurePosixPath(n).name: path for n, path in files_by_name(folder, suffixes).items()}


def _names(root: Path, split: str, every: list[str]) -> list[str]:
    if (root / f"{split}.txt").is_file():
        return [_stem(line) for line in read_names(root / f"{split}.txt")]
    test: list[str] = []
    if (root / _ORIGINAL_TEST).is_file():
        test = [_stem(line) for line in read_names(root / _ORIGINAL_TEST)]
    return test if split == "test" else [name for name in every if name not in set(test)]


def _stem(line: str) -> str:
    path = PurePosixPath(line.replace("\\", "/"))
    known = IMAGE_SUFFIXES | LABEL_SUFFIXES
    return path.stem if path.suffix.lower() in known else path.name
