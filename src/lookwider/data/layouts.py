"""The layouts of files that are known, and `open_dataset`, which opens any of them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from lookwider.classes import Classes, ClassMap
from lookwider.data.class_files import find_class_file, read_class_file
from lookwider.data.labels import LabelValues, count_values, read_stored
from lookwider.data.parallel import map_files
from lookwider.data.proposal import Proposal, propose
from lookwider.data.readers import (
    ade20k,
    camvid,
    cityscapes,
    folder,
    listfile,
    pascal_context,
    siftflow,
    voc,
)
from lookwider.data.readers.files import FileDataset
from lookwider.data.readers.huggingface import HuggingFaceDataset
from lookwider.data.readers.pairs import Listing, join_listings
from lookwider.data.sample import SegmentationDataset
from lookwider.data.scenes.options import open_scenes
from lookwider.errors import ConfigError, DataError, unknown_name

_log = logging.getLogger("lookwider.data")


@dataclass(frozen=True)
class Layout:
    """One way to lay out a data set in files.

    Attributes:
        recognise: whether a path is laid out so.
        splits: the names of the splits that are there.
        list_split: the files of one split.
        looks_like: what such a path looks like, for people.
    """

    recognise: Callable[[Path], bool]
    splits: Callable[[Path], tuple[str, ...]]
    list_split: Callable[[Path, str], Listing]
    looks_like: str


LAYOUTS: dict[str, Layout] = {
    "camvid": Layout(
        camvid.recognise,
        camvid.splits,
        camvid.list_split,
        "train/ + trainannot/, val/ + valannot/, test/ + testannot/ with CamVid's images",
    ),
    "cityscapes": Layout(
        cityscapes.recognise,
        cityscapes.splits,
        cityscapes.list_split,
        "leftImg8bit/SPLIT/CITY/ + gtFine/SPLIT/CITY/",
    ),
    "ade20k": Layout(
        ade20k.recognise,
        ade20k.splits,
        ade20k.list_split,
        "images/training/ADE_*.jpg + annotations/training/ADE_*.png",
    ),
    "pascal-context": Layout(
        pascal_context.recognise,
        pascal_context.splits,
        pascal_context.list_split,
        "JPEGImages/ + trainval/*.mat or SegmentationClassContext/*.png; 60 classes",
    ),
    "pascal-context-59": Layout(
        lambda _: False,  # the same files as the one above: only by name
        pascal_context.splits,
        pascal_context.list_split_59,
        "the same with background ignored; by name only",
    ),
    "siftflow": Layout(
        siftflow.recognise,
        siftflow.splits,
        siftflow.list_split,
        "Images/ + SemanticLabels/ + GeoLabels/",
    ),
    "voc": Layout(
        voc.recognise,
        voc.splits,
        voc.list_split,
        "JPEGImages/ + SegmentationClass/ + ImageSets/Segmentation/ with VOC's images",
    ),
    "sbd": Layout(
        voc.recognise_sbd,
        voc.sbd_splits,
        voc.list_sbd_split,
        "img/ + cls/*.mat + train.txt, val.txt",
    ),
    "folder": Layout(
        folder.recognise,
        folder.splits,
        folder.list_split,
        "images/ + labels/ (also in train/, val/; or with train.txt, val.txt)",
    ),
    "list": Layout(
        listfile.recognise,
        listfile.splits,
        listfile.list_split,
        "a text file with one image and its label a line",
    ),
}
"""Every layout of files by name; a path is taken for the first that recognises it."""


def open_dataset(
    data: str | Path,
    split: str | None = "train",
    *,
    layout: str = "auto",
    classes: Classes | None = None,
    class_map: ClassMap | None = None,
) -> SegmentationDataset:
    """Open a data set by its path or name.

    Classes and class map come from the arguments, else from a ``classes.json`` or
    ``classes.txt`` in the folder, else from the layout, else from the values that the labels of
    *all* splits hold, so that every split has the same classes.

    Args:
        data: a path in any of `LAYOUTS`; ``"scenes"`` or ``"scenes:count=200,size=120x160"`` for
            the built-in scenes; ``"hf:PATH_OR_NAME"`` for a Hugging Face data set.
        split: ``"train"``, ``"val"``, ``"test"`` or what else is there; ``"train+val"`` joins
            two; None takes all.
        layout: a name in `LAYOUTS`, or ``"auto"`` to recognise it.
        classes: names and colours; ``classes`` without ``class_map`` says that labels hold ids.
        class_map: what the stored values mean.

    Raises:
        DataError: nothing is there, the layout or the classes cannot be told, or files miss.

    Example:
        >>> open_dataset("scenes:count=3,size=48x64", "val")[0].label.shape
        (48, 64)
    """
    if class_map is None and classes is not None:
        class_map = ClassMap.identity(len(classes))
    if classes is None and class_map is not None:
        classes = Classes.numbered(1 + max(class_map.ids.values(), default=0))
    name, _, options = str(data).partition(":")
    if name == "scenes":
        if layout != "auto" or classes is not None:
            raise ConfigError("the built-in scenes have their own layout and classes; give neither")
        return open_scenes(split, options)
    if name == "hf":
        return HuggingFaceDataset(options, split, classes=classes, class_map=class_map)
    path = Path(data)
    listing = list_dataset(path, split, layout)
    _check_pairs(path, split, listing)
    if classes is None or class_map is None:
        classes, class_map = listing.classes, listing.class_map
    if classes is None or class_map is None:
        whole = listing if split is None else list_dataset(path, None, layout)
        found = infer_classes(whole)
        classes, class_map = found.classes, found.class_map
        listing = replace(listing, notes=(*listing.notes, *found.notes))
    for note in listing.notes:
        _log.info("%s: %s", path, note)
    return FileDataset(listing.pairs, classes, class_map, listing.extra)


def list_dataset(path: Path, split: str | None, layout: str = "auto") -> Listing:
    """List the files of a data set without opening them; arguments as of `open_dataset`."""
    known = LAYOUTS[find_layout(path, layout)]
    there = known.splits(path)
    wanted = there if split is None else tuple(split.split("+"))
    for name in wanted:
        if name not in there:
            raise DataError(f"{path}: {unknown_name('split', name, there)}")
    listing = join_listings({name: known.list_split(path, name) for name in wanted})
    found = find_class_file(path if path.is_dir() else path.parent)
    if found is None:
        return listing
    classes, class_map = read_class_file(found)
    note = f"classes are from {found.name}"
    return replace(listing, classes=classes, class_map=class_map, notes=(*listing.notes, note))


def find_layout(path: Path, layout: str = "auto") -> str:
    """Return the name of the layout of a path.

    Raises:
        ConfigError: the layout's name is unknown.
        DataError: nothing is there, or it is laid out in no known way.
    """
    if layout != "auto" and layout not in LAYOUTS:
        raise ConfigError(unknown_name("layout", layout, (*LAYOUTS, "auto")))
    if not path.exists():
        raise DataError(f"{path}: no such folder or file; 'scenes' is the built-in data set")
    if layout != "auto":
        return layout
    for name, known in LAYOUTS.items():
        if known.recognise(path):
            return name
    shapes = "\n".join(f"  {name}: {known.looks_like}" for name, known in LAYOUTS.items())
    raise DataError(f"{path}: no known layout; expected one of\n{shapes}")


def infer_classes(listing: Listing) -> Proposal:
    """Return the classes and class map that the labels' values suggest; see `proposal.propose`.

    Raises:
        DataError: a label cannot be read, or the values are ambiguous.
    """
    labels = [pair.label for pair in listing.pairs]

    def look(path: Path) -> LabelValues:
        return count_values(read_stored(path), f"label {path}")

    return propose(map_files(look, labels, what="Looking at the labels"))


def _check_pairs(path: Path, split: str | None, listing: Listing) -> None:
    bare, orphans = len(listing.unpaired_images), len(listing.unpaired_labels)
    if not listing.pairs:
        raise DataError(
            f"{path}: no image of split {split!r} has a label ({bare} images and {orphans} labels "
            "found no partner); pairs have equal names, but for the suffix and endings as _mask"
        )
    if bare or orphans:
        _log.warning(
            "%s: left out %d images without a label and %d labels without an image; "
            "`lookwider data check` lists them",
            *(path, bare, orphans),
        )
    missing = [
        file
        for pair in listing.pairs
        for file in (pair.image, pair.label, *pair.extra_labels.values())
        if not file.exists()
    ]
    if missing:
        raise DataError(
            f"{missing[0]}: no such file, but {path} lists it ({len(missing)} listed files are "
            "missing in all); see `lookwider data check`"
        )
