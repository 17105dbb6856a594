"""A plain folder: ``images/`` and ``labels/``, pairs by name, splits if there are any.

Any of these, with ``labels`` also called masks, annotations, ...::

    images/a.jpg              labels/a.png             (all; or train.txt, val.txt beside)
    images/train/a.jpg        labels/train/a.png
    train/images/a.jpg        train/labels/a.png
    train/a.jpg               train_labels/a.png
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

from lookwider.data.labels import LABEL_SUFFIXES
from lookwider.data.readers.pairs import Listing, core_name, files_by_name, pair_by_name, read_names
from lookwider.data.readers.splits import HELD_OUT, SPLIT_NAMES, hold_out, split_of
from lookwider.errors import DataError
from lookwider.images import IMAGE_SUFFIXES

IMAGE_FOLDERS = ("images", "image", "imgs", "img", "jpegimages")
LABEL_FOLDERS = (
    *("labels", "label", "masks", "mask", "annotations", "annotation", "annot", "annots"),
    *("segmentation", "segmentations", "segmentationclass", "gt", "ground_truth"),
)
SPLIT_FILE_FOLDERS = ("", "splits", "ImageSets", "ImageSets/Segmentation")

_Halves = tuple[Path, Path]


def recognise(root: Path) -> bool:
    """Whether a folder holds images and labels in one of the forms above."""
    return root.is_dir() and bool(_halves(root) or _split_halves(root))


def splits(root: Path) -> tuple[str, ...]:
    """Return the splits that are there; of a folder without any, train and val are made."""
    nested, files = _split_halves(root), _split_files(root)
    return _ordered(nested) or _ordered(files) or ("train", "val")


def list_split(root: Path, split: str) -> Listing:
    """List one split.

    Raises:
        DataError: the folder holds no pairs, or a split file names an image that is not there.
    """
    nested, files, halves = _split_halves(root), _split_files(root), _halves(root)
    if split in nested:
        return _pairs(nested[split])
    if halves is None:
        raise DataError(f"{root}: holds no {IMAGE_FOLDERS[0]}/ and {LABEL_FOLDERS[0]}/ for {split}")
    if split in files:
        return _named(_pairs(halves), files[split])
    return _held_out(_pairs(halves), split)


def _pairs(halves: _Halves) -> Listing:
    images, labels = halves
    pairs, no_label, no_image = pair_by_name(
        files_by_name(images, IMAGE_SUFFIXES), files_by_name(labels, LABEL_SUFFIXES)
    )
    return Listing(pairs, unpaired_images=no_label, unpaired_labels=no_image)


def _held_out(listing: Listing, split: str) -> Listing:
    chosen = frozenset(hold_out([pair.name for pair in listing.pairs], split))
    note = f"no splits found: one image of {HELD_OUT}, chosen by its name, is held out as val"
    return replace(
        listing, pairs=tuple(p for p in listing.pairs if p.name in chosen), notes=(note,)
    )


def _named(listing: Listing, split_file: Path) -> Listing:
    """Keep the images that a split file names, with or without suffix or folder, in its order."""
    known = {pair.name: pair for pair in listing.pairs}
    for pair in listing.pairs:
        known.setdefault(core_name(pair.name), pair)
        known.setdefault(PurePosixPath(pair.name).name, pair)
    chosen = []
    for line in read_names(split_file):
        path = PurePosixPath(line.replace("\\", "/"))
        suffixed = path.suffix.lower() in IMAGE_SUFFIXES | LABEL_SUFFIXES
        stem = path.with_suffix("") if suffixed else path
        named = known.get(stem.as_posix()) or known.get(stem.name)
        if named is None:
            raise DataError(
                f"{split_file}: names {line!r}, but no image with a label of that name was found"
            )
        chosen.append(named)
    if len({pair.name for pair in chosen}) != len(chosen):
        raise DataError(f"{split_file}: names an image more than once")
    return replace(listing, pairs=tuple(chosen), unpaired_images=(), unpaired_labels=())


def _subfolders(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        return {}
    return {path.name.lower(): path for path in sorted(folder.iterdir()) if path.is_dir()}


def _halves(folder: Path) -> _Halves | None:
    """Return the folder of the images and that of the labels, by their usual names."""
    inside = _subfolders(folder)
    images = next((inside[name] for name in IMAGE_FOLDERS if name in inside), None)
    labels = next((inside[name] for name in LABEL_FOLDERS if name in inside), None)
    return (images, labels) if images is not None and labels is not None else None


def _split_halves(root: Path) -> dict[str, _Halves]:
    """Return image and label folders by split, where splits are folders."""
    found: dict[str, _Halves] = {}
    inside = _subfolders(root)
    for name, folder in inside.items():  # train/images, train/labels; or train, train_labels
        split = split_of(name)
        if split is None:
            continue
        beside = [f"{name}{mark}{kind}" for mark in ("_", "-", "") for kind in LABEL_FOLDERS]
        labels = next((inside[other] for other in beside if other in inside), None)
        if halves := _halves(folder):
            found[split] = halves
        elif labels is not None:
            found[split] = (folder, labels)
    if halves := _halves(root):  # images/train, labels/train
        images, labels_of = (_by_split(half) for half in halves)
        found |= {split: (images[split], labels_of[split]) for split in images.keys() & labels_of}
    return found


def _by_split(folder: Path) -> dict[str, Path]:
    return {s: path for name, path in _subfolders(folder).items() if (s := split_of(name))}


def _split_files(root: Path) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for folder in SPLIT_FILE_FOLDERS:
        for path in sorted((root / folder).glob("*.txt")):
            if split := split_of(path.stem):
                files.setdefault(split, path)
    return files


def _ordered(found: dict[str, _Halves] | dict[str, Path]) -> tuple[str, ...]:
    return tuple(split for split in SPLIT_NAMES if split in found)
