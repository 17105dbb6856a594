"""Which image belongs to which label: files found, paired by name, listed by split."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lookwider.classes import Classes, ClassMap
from lookwider.errors import DataError

AFFIXES = (
    *("image", "img", "leftimg8bit", "rgb", "sat"),
    *("mask", "masks", "label", "labels", "labelids", "labeltrainids", "gt", "gtfine", "seg"),
    *("segmentation", "annotation", "annotated", "anno", "ann", "groundtruth", "target", "l"),
)
"""Endings after "_", "-" or "." that tell an image from its label, in lower case."""

_AFFIX = re.compile(rf"[_\-. ](?:{'|'.join(AFFIXES)})$", re.IGNORECASE)


@dataclass(frozen=True)
class Pair:
    """One sample's files.

    Attributes:
        name: its name within the data set.
        image: the image file.
        label: the label file.
        extra_labels: further label files by head name.
    """

    name: str
    image: Path
    label: Path
    extra_labels: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Listing:
    """The files of a split, before any of them is opened.

    Attributes:
        pairs: the samples.
        classes: the classes where the layout says them; None where only the labels can.
        class_map: how stored values become ids, where the layout says it.
        extra: classes and class map by head name.
        unpaired_images: images that have no label.
        unpaired_labels: labels that have no image.
        notes: what was decided while listing, in words.
    """

    pairs: tuple[Pair, ...]
    classes: Classes | None = None
    class_map: ClassMap | None = None
    extra: Mapping[str, tuple[Classes, ClassMap]] = field(default_factory=dict)
    unpaired_images: tuple[Path, ...] = ()
    unpaired_labels: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()


def join_listings(listings: Mapping[str, Listing]) -> Listing:
    """Return one listing of several splits; names get the split in front where they collide."""
    if len(listings) == 1:
        return next(iter(listings.values()))
    names = [pair.name for listing in listings.values() for pair in listing.pairs]
    collide = len(set(names)) != len(names)
    pairs = [
        replace(pair, name=f"{split}/{pair.name}") if collide else pair
        for split, listing in listings.items()
        for pair in listing.pairs
    ]
    every = list(listings.values())
    return replace(
        every[0],
        pairs=tuple(pairs),
        unpaired_images=_united(listing.unpaired_images for listing in every),
        unpaired_labels=_united(listing.unpaired_labels for listing in every),
        notes=tuple(dict.fromkeys(note for listing in every for note in listing.notes)),
    )


def _united(groups: Iterable[Sequence[Path]]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(path for group in groups for path in group))


def find_files(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    """Return the files below a folder with one of these suffixes, sorted.

    Links to folders are followed, each folder is visited once, so loops end. Hidden files are
    left out. A folder or a broken link named like a file of the kind is returned too: opening it
    then says what is wrong, instead of a sample that is silently missing.
    """
    found: list[Path] = []
    visited: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        try:
            status = here.stat()
            if (status.st_dev, status.st_ino) in visited:
                continue
            visited.add((status.st_dev, status.st_ino))
            listed = [path for path in here.iterdir() if not path.name.startswith(".")]
            for path in listed:
                if path.suffix.lower() in suffixes and (path.is_file() or _is_odd(path)):
                    found.append(path)
                elif path.is_dir():
                    waiting.append(path)
        except PermissionError as error:
            raise DataError(f"{error.filename}: no permission to look at it") from error
    return sorted(found)


def _is_odd(path: Path) -> bool:
    """Whether a name that looks like a file is a folder or a link to nothing (or to itself)."""
    return path.is_dir() or (path.is_symlink() and not path.exists())


def name_of(path: Path, folder: Path) -> str:
    """Return a file's name within its folder, without suffix, "/" between folders."""
    return path.relative_to(folder).with_suffix("").as_posix()


def core_name(name: str) -> str:
    """Return a name without the endings that tell an image from its label.

    Example:
        >>> core_name("street/001_leftImg8bit"), core_name("street/001_gtFine_labelIds")
        ('street/001', 'street/001')
    """
    while match := _AFFIX.search(name):
        if match.start() == 0 or name[match.start() - 1] == "/":
            break
        name = name[: match.start()]
    return name


def pair_by_name(
    images: Mapping[str, Path], labels: Mapping[str, Path]
) -> tuple[tuple[Pair, ...], tuple[Path, ...], tuple[Path, ...]]:
    """Pair images and labels of equal names, then of names equal but for known endings.

    Args:
        images: image files by name.
        labels: label files by name.

    Returns:
        The pairs, the images without a label, and the labels without an image.

    Raises:
        DataError: two labels could belong to one image, or two images to one label.

    Example:
        >>> pairs, _, _ = pair_by_name({"a": Path("a.jpg")}, {"a_mask": Path("a_mask.png")})
        >>> pairs[0].label.name
        'a_mask.png'
    """
    pairs = {
        name: Pair(name, path, labels[name]) for name, path in images.items() if name in labels
    }
    loose_images = {name: path for name, path in images.items() if name not in pairs}
    loose_labels = {name: path for name, path in labels.items() if name not in pairs}
    by_image = _by_core(loose_images, "images", "label")
    by_label = _by_core(loose_labels, "labels", "image")
    for core in by_image.keys() & by_label.keys():
        name = by_image[core]
        pairs[name] = Pair(name, loose_images.pop(name), loose_labels.pop(by_label[core]))
    ordered = tuple(pairs[name] for name in images if name in pairs)
    return ordered, tuple(loose_images.values()), tuple(loose_labels.values())


def _by_core(files: Mapping[str, Path], kind: str, other: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, path in files.items():
        core = core_name(name)
        if core in found:
            raise DataError(
                f"two {kind} could belong to one {other}: {files[found[core]]} and {path}; "
                "keep one, or give the two folders names that pair exactly"
            )
        found[core] = name
    return found


def files_by_name(folder: Path, suffixes: frozenset[str]) -> dict[str, Path]:
    """Return the files of a folder by their names within it.

    Raises:
        DataError: two files differ only in their suffix.
    """
    found: dict[str, Path] = {}
    for path in find_files(folder, suffixes):
        name = name_of(path, folder)
        if name in found:
            raise DataError(
                f"{found[name]} and {path.name} have the same name but for the suffix; keep one"
            )
        found[name] = path
    return found


def read_names(path: Path) -> list[str]:
    """Return the lines of a split or list file, without blank lines and comments.

    Raises:
        DataError: the file is missing or is not UTF-8 text.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: byte {error.start} is not UTF-8 text; save the list as UTF-8"
        ) from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]
