"""Two networks on the same images: what the second mended, and what it broke."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lookwider.data.sample import ImageArray, LabelArray, Sample, SegmentationDataset
from lookwider.diagnosis.change_picture import ChangeRow, change_picture
from lookwider.diagnosis.diagnose import EXAMPLES, Diagnoser
from lookwider.diagnosis.failures import (
    KINDS,
    ImageFailures,
    image_failures,
    label_of,
    objects_in,
)
from lookwider.diagnosis.objects import Mask
from lookwider.diagnosis.relations import ClassRelations
from lookwider.diagnosis.result import ClassFailure, Diagnosis
from lookwider.diagnosis.thresholds import Thresholds
from lookwider.evaluation.recorded import RecordedPredictions
from lookwider.images import write_bytes
from lookwider.inference.prefetch import prefetch
from lookwider.inference.progress import ImageProgress


@dataclass(frozen=True, eq=False)
class ChangedImage:
    """An image where much changed.

    Attributes:
        name: of the image.
        pixels: how many changed so.
        image: (H, W, C).
        label: (H, W) class ids, 255 where ignored.
        first: (H, W) what the first network said.
        second: (H, W) what the second said.
    """

    name: str
    pixels: int
    image: ImageArray
    label: LabelArray
    first: LabelArray
    second: LabelArray


@dataclass(frozen=True, eq=False)
class Change:
    """Pixels where one network is right and the other wrong.

    Attributes:
        pixels: how many.
        by_kind: by kind of failure of the one that is wrong, as far as they overlap in each, and
            ``"other"``.
        per_class: by class of the truth.
        images: those with the most, the most first.
    """

    pixels: int
    by_kind: Mapping[str, int]
    per_class: tuple[ClassFailure, ...]
    images: tuple[ChangedImage, ...]

    def to_json(self) -> dict[str, Any]:
        """Return everything but the pictures as JSON holds it."""
        return {
            "pixels": self.pixels,
            "by_kind": dict(self.by_kind),
            "classes": {each.name: each.pixels for each in self.per_class},
            "images": {image.name: image.pixels for image in self.images},
        }


@dataclass(frozen=True, eq=False)
class Comparison:
    """What a second network does better and worse than a first one.

    Attributes:
        first: the failures of the first.
        second: those of the second.
        mended: the first is wrong, the second right; by the first's kind of failure.
        broken: the first is right, the second wrong; by the second's kind of failure.
        both_wrong: pixels.
    """

    first: Diagnosis
    second: Diagnosis
    mended: Change
    broken: Change
    both_wrong: int

    def to_json(self) -> dict[str, Any]:
        """Return everything but the pictures as JSON holds it; nan becomes None."""
        return {
            "mended": self.mended.to_json(),
            "broken": self.broken.to_json(),
            "both_wrong": self.both_wrong,
            "first": self.first.to_json(),
            "second": self.second.to_json(),
        }

    def table(self, title: str = "") -> Table:
        """Return a table of the kinds: the wrong pixels of both, what was mended and broken."""
        table = Table(title=Text(title) if title else None, title_justify="left")
        table.add_column("wrong pixels", no_wrap=True)
        for column in (self.first.name, self.second.name, "mended", "broken"):
            table.add_column(Text(column), justify="right")
        rows = [
            (kind.title, kind.pixels, other.pixels, kind.kind)
            for kind, other in zip(self.first.kinds, self.second.kinds, strict=True)
        ]
        rows.append(("none of the three", self.first.other, self.second.other, "other"))
        for name, one, two, kind in rows:
            mended, broken = self.mended.by_kind[kind], self.broken.by_kind[kind]
            table.add_row(name, f"{one:,}", f"{two:,}", _of(mended, one), _of(broken, two))
        table.add_section()
        table.add_row(
            "all",
            f"{self.first.wrong:,}",
            f"{self.second.wrong:,}",
            _of(self.mended.pixels, self.first.wrong),
            _of(self.broken.pixels, self.second.wrong),
        )
        return table

    def save(self, folder: str | Path) -> list[Path]:
        """Write the comparison, and both diagnoses into ``first/`` and ``second/``.

        Returns:
            the paths of ``comparison.json``, ``mended.png``, ``broken.png`` and of the diagnoses.
        """
        folder = Path(folder)
        text = json.dumps(self.to_json(), indent=1, allow_nan=False)
        files = {"comparison.json": text.encode()}
        for name, change in (("mended", self.mended), ("broken", self.broken)):
            if change.images:
                rows = [self._row(image, name) for image in change.images]
                names = (self.first.name, self.second.name)
                files[f"{name}.png"] = change_picture(rows, self.first.classes, names)
        for name, data in files.items():
            write_bytes(folder / name, data)
        paths = [folder / name for name in files]
        for name, diagnosis in (("first", self.first), ("second", self.second)):
            paths += diagnosis.save(folder / name)
        return paths

    def _row(self, changed: ChangedImage, name: str) -> ChangeRow:
        caption = f"{changed.name}: {changed.pixels:,} pixels {name}"
        return ChangeRow(caption, changed.image, changed.label, changed.first, changed.second)


def compare(
    first: RecordedPredictions,
    second: RecordedPredictions,
    dataset: SegmentationDataset,
    relations: ClassRelations,
    *,
    thresholds: Thresholds | None = None,
    names: tuple[str, str] = ("first", "second"),
    examples: int = EXAMPLES,
    workers: int = 2,
    console: Console | None = None,
    show: bool = True,
) -> Comparison:
    """Compare two networks' predictions of the images that the first has predictions of.

    Args:
        first: predictions of the first network; see `RecordedPredictions`.
        second: of the second, of the same images.
        dataset: the images with their labels.
        relations: which classes are together in the training data.
        thresholds: where the kinds of failure begin; `Thresholds` when None.
        names: of the two.
        examples: how many images and objects are kept of each kind.
        workers: threads that read ahead.
        console: where progress is shown; standard error when None.
        show: whether it is.

    Raises:
        DataError: a prediction is missing or of another size, an image has no label, or the
            relations are of other classes.
    """
    diagnosers = [
        Diagnoser(dataset.classes, relations, thresholds=thresholds, examples=examples, name=name)
        for name in names
    ]
    size = len(dataset.classes)
    mended, broken = _ChangeTally(size, examples), _ChangeTally(size, examples)
    both_wrong = 0
    with ImageProgress("comparing", len(dataset), console, show=show) as progress:
        for _, reading in prefetch(dataset.__getitem__, range(len(dataset)), workers):
            sample = reading.result()
            said = (first[sample.name], second[sample.name])
            truth = objects_in(sample, size, diagnosers[0].thresholds)
            found = []
            for diagnoser, prediction in zip(diagnosers, said, strict=True):
                failures = image_failures(
                    sample,
                    prediction,
                    diagnoser.unseen,
                    diagnoser.classes,
                    diagnoser.thresholds,
                    truth,
                )
                diagnoser.add(sample, prediction, failures)
                found.append(failures)
            mended.add(sample, found[0], ~found[1].wrong, said)
            broken.add(sample, found[1], ~found[0].wrong, said)
            both_wrong += int(np.count_nonzero(found[0].wrong & found[1].wrong))
            progress.advance()
    return Comparison(
        first=diagnosers[0].result(),
        second=diagnosers[1].result(),
        mended=mended.result(diagnosers[0]),
        broken=broken.result(diagnosers[0]),
        both_wrong=both_wrong,
    )


class _ChangeTally:
    """Mended or broken pixels so far."""

    def __init__(self, num_classes: int, keep: int) -> None:
        self.keep = keep
        self.per_class: npt.NDArray[np.int64] = np.zeros(num_classes, np.int64)
        self.by_kind = dict.fromkeys((*KINDS, "other"), 0)
        self.images: list[ChangedImage] = []

    def add(
        self,
        sample: Sample,
        failures: ImageFailures,
        other_right: Mask,
        said: tuple[LabelArray, LabelArray],
    ) -> None:
        """Count the failures of the one that are right with the other."""
        label = label_of(sample)
        changed = failures.wrong & other_right
        counts = np.bincount(label[changed], minlength=len(self.per_class))
        self.per_class += counts
        for kind, mask in (*failures.masks.items(), ("other", failures.other)):
            self.by_kind[kind] += int(np.count_nonzero(mask & other_right))
        if pixels := int(counts.sum()):
            image = ChangedImage(sample.name, pixels, sample.image, label, *said)
            # sorting keeps the order of equal ones, so of those the earlier stays
            self.images = sorted([*self.images, image], key=lambda i: -i.pixels)[: self.keep]

    def result(self, diagnoser: Diagnoser) -> Change:
        """Return what was counted."""
        rows = zip(diagnoser.classes.names, self.per_class, diagnoser.labelled, strict=True)
        return Change(
            pixels=int(self.per_class.sum()),
            by_kind=self.by_kind,
            per_class=tuple(ClassFailure(name, int(px), int(all_)) for name, px, all_ in rows),
            images=tuple(self.images),
        )


def _of(part: int, whole: int) -> str:
    share = f" ({100 * part / whole:.0f} %)" if whole else ""
    return f"{part:,}{share}"
