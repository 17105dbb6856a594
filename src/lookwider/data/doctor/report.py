"""What the data doctor found, as numbers: frozen, and JSON on request."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field

from lookwider.classes import Colour
from lookwider.data.doctor.scan import BadFile


@dataclass(frozen=True)
class SizeSummary:
    """Sizes of the images, (height, width); the median is of each alone."""

    smallest: tuple[int, int]
    median: tuple[int, int]
    largest: tuple[int, int]
    distinct: int


@dataclass(frozen=True)
class ClassCount:
    """How often a class occurs.

    Attributes:
        name: its name.
        colour: its colour.
        values: its stored values, as people write them.
        pixels: labelled pixels of it.
        share: of all pixels that are not ignored, 0..1.
        images: images it occurs in.
    """

    name: str
    colour: Colour
    values: tuple[str, ...]
    pixels: int
    share: float
    images: int


@dataclass(frozen=True)
class DataReport:
    """The result of `check_dataset`.

    Attributes:
        path: the data set.
        layout: name of its layout; None where it was not recognised.
        splits: number of pairs by split.
        unpaired_images: images without a label; they are left out.
        unpaired_labels: labels without an image; they are left out.
        sizes: sizes of the images; None where none could be read.
        images: number of images by kind, "3 bands, uint8".
        encodings: number of labels by how they are stored.
        classes: how often each class occurs.
        ignored: share of all pixels that are ignored, 0..1.
        bad: files that cannot be used.
        problems: what makes the whole unusable, apart from bad files.
        warnings: what is worth knowing.
        notes: what was decided on the way.
        class_file: text of a ``classes.json`` with the class map in use, to edit and put into
            the folder; None where there is none.
        picture: the written picture; None where there is none.
        seconds: how long it took.
    """

    path: str
    layout: str | None = None
    splits: dict[str, int] = field(default_factory=dict)
    unpaired_images: tuple[str, ...] = ()
    unpaired_labels: tuple[str, ...] = ()
    sizes: SizeSummary | None = None
    images: dict[str, int] = field(default_factory=dict)
    encodings: dict[str, int] = field(default_factory=dict)
    classes: tuple[ClassCount, ...] = ()
    ignored: float = 0.0
    bad: tuple[BadFile, ...] = ()
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    class_file: str | None = None
    picture: str | None = None
    seconds: float = 0.0

    @property
    def usable(self) -> bool:
        """Whether training and evaluation can read every pair."""
        return bool(sum(self.splits.values())) and not self.bad and not self.problems

    def to_json(self) -> str:
        """Return everything as JSON, with ``usable`` first."""
        return json.dumps({"usable": self.usable} | dataclasses.asdict(self), indent=2)
