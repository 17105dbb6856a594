"""What a diagnosis found: three kinds of failure, each a number with its definition."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.table import Table
from rich.text import Text

from lookwider.classes import Classes
from lookwider.data.sample import ImageArray, LabelArray
from lookwider.diagnosis.curves import RecallCurve
from lookwider.diagnosis.objects import Box
from lookwider.diagnosis.pictures import Shown, examples_picture, recall_picture
from lookwider.images import write_bytes


@dataclass(frozen=True, eq=False)
class FailureExample:
    """One object that failed.

    Attributes:
        name: of the image.
        box: (top, left, bottom, right) of the object, the last two exclusive.
        words: what is wrong with it.
        severity: its pixels of this kind.
        image: (H, W, C).
        label: (H, W) class ids, 255 where ignored.
        prediction: (H, W) class ids.
        mask: (H, W) whether a pixel is of this failure.
    """

    name: str
    box: Box
    words: str
    severity: int
    image: ImageArray
    label: LabelArray
    prediction: LabelArray
    mask: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ClassFailure:
    """One kind of failure of one class of the truth.

    Attributes:
        name: the class.
        pixels: of the class that are of this failure.
        labelled: all pixels of the class.
    """

    name: str
    pixels: int
    labelled: int

    @property
    def share(self) -> float:
        """Share of the class's pixels; nan without one."""
        return _share(self.pixels, self.labelled)


@dataclass(frozen=True, eq=False)
class KindResult:
    """One kind of failure over a whole data set.

    Attributes:
        kind: its name in `lookwider.diagnosis.failures.KINDS`.
        title: its name in words.
        definition: what is counted, with the numbers that were used.
        source: where the kind comes from.
        pixels: wrong pixels of this kind.
        labelled: all labelled pixels.
        wrong: all wrong pixels.
        objects: how many objects failed.
        per_class: by class of the truth, in the order of the classes.
        examples: the worst objects, the worst first.
    """

    kind: str
    title: str
    definition: str
    source: str
    pixels: int
    labelled: int
    wrong: int
    objects: int
    per_class: tuple[ClassFailure, ...]
    examples: tuple[FailureExample, ...] = ()

    @property
    def share(self) -> float:
        """Share of the labelled pixels; nan without one."""
        return _share(self.pixels, self.labelled)

    @property
    def share_of_errors(self) -> float:
        """Share of the wrong pixels; nan where none is wrong."""
        return _share(self.pixels, self.wrong)

    def to_json(self) -> dict[str, Any]:
        """Return everything but the pictures as JSON holds it; nan becomes None."""
        return {
            "title": self.title,
            "definition": self.definition,
            "source": self.source,
            "pixels": self.pixels,
            "share": _number(self.share),
            "share_of_errors": _number(self.share_of_errors),
            "objects": self.objects,
            "classes": {
                each.name: {"pixels": each.pixels, "share": _number(each.share)}
                for each in self.per_class
            },
            "examples": [
                {"image": e.name, "box": list(e.box), "words": e.words, "pixels": e.severity}
                for e in self.examples
            ],
        }


@dataclass(frozen=True)
class ClassPair:
    """Two classes that fail together.

    Attributes:
        first: a class.
        second: another.
        objects: how many objects.
        pixels: their pixels of this failure.
    """

    first: str
    second: str
    objects: int
    pixels: int


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """The three kinds of failure of one network on one data set; they may overlap.

    Attributes:
        name: of the network.
        classes: names and colours.
        images: how many were looked at.
        pixels: labelled pixels.
        wrong: wrong ones among them.
        other: wrong ones of none of the kinds.
        at_borders: those of ``other`` near a border between two true classes.
        mismatched: mismatched relationship.
        confusable: confusable categories.
        inconspicuous: inconspicuous classes.
        out_of_place: (predicted class, class around it) of mismatched objects, the most first.
        swapped: pairs that share one object, the most first.
        overlooked: pixels of inconspicuous objects that were taken for what touches them.
        by_size: recall of objects by their share of the image.
        by_contrast: recall of objects by how far they stand out.
        settings: how it was measured.
    """

    name: str
    classes: Classes
    images: int
    pixels: int
    wrong: int
    other: int
    at_borders: int
    mismatched: KindResult
    confusable: KindResult
    inconspicuous: KindResult
    out_of_place: tuple[ClassPair, ...]
    swapped: tuple[ClassPair, ...]
    overlooked: int
    by_size: RecallCurve
    by_contrast: RecallCurve
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kinds(self) -> tuple[KindResult, ...]:
        """The three kinds, in the order of the paper."""
        return self.mismatched, self.confusable, self.inconspicuous

    def to_json(self) -> dict[str, Any]:
        """Return everything but the pictures as JSON holds it; nan becomes None."""
        return {
            "name": self.name,
            "images": self.images,
            "pixels": self.pixels,
            "wrong": self.wrong,
            "other": self.other,
            "at_borders": self.at_borders,
            "kinds": {kind.kind: kind.to_json() for kind in self.kinds},
            "out_of_place": [vars(pair) for pair in self.out_of_place],
            "swapped": [vars(pair) for pair in self.swapped],
            "overlooked": self.overlooked,
            "by_size": self.by_size.to_json(),
            "by_contrast": self.by_contrast.to_json(),
            "settings": dict(self.settings),
        }

    def table(self, title: str = "") -> Table:
        """Return a table of the kinds, in per cent."""
        table = Table(title=Text(title) if title else None, title_justify="left")
        table.add_column("kind of failure", no_wrap=True)
        for column in ("objects", "pixels", "% of all", "% of wrong", "most in"):
            table.add_column(column, justify="left" if column == "most in" else "right")
        for kind in self.kinds:
            most = sorted(kind.per_class, key=lambda each: -each.pixels)[:2]
            table.add_row(
                kind.title,
                str(kind.objects),
                f"{kind.pixels:,}",
                _percent(kind.share),
                _percent(kind.share_of_errors),
                Text(", ".join(each.name for each in most if each.pixels)),
            )
        rows = (
            ("none, near a border", self.at_borders),
            ("none, elsewhere", self.other - self.at_borders),
            ("all wrong pixels", self.wrong),
        )
        for name, pixels in rows:
            share, of_wrong = _share(pixels, self.pixels), _share(pixels, self.wrong)
            table.add_row(name, "", f"{pixels:,}", _percent(share), _percent(of_wrong), "")
        return table

    def save(self, folder: str | Path) -> list[Path]:
        """Write ``diagnosis.json``, a PNG of examples per kind and ``recall.png``."""
        folder = Path(folder)
        text = json.dumps(self.to_json(), indent=1, allow_nan=False)
        files = {"diagnosis.json": text.encode()}
        for kind in self.kinds:
            if kind.examples:
                files[f"{kind.kind}.png"] = examples_picture(
                    [shown(example) for example in kind.examples], self.classes, title=kind.title
                )
        if self.by_size.objects.any():
            files["recall.png"] = recall_picture(self.by_size, self.by_contrast, self.classes)
        for name, data in files.items():
            write_bytes(folder / name, data)
        return [folder / name for name in files]


def shown(example: FailureExample) -> Shown:
    """Return an example as its picture takes it."""
    caption = f"{example.name}: {example.words}"
    return Shown(
        caption, example.image, example.label, example.prediction, example.box, example.mask
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value


def _percent(value: float) -> str:
    return "-" if np.isnan(value) else f"{100 * value:.1f}"
