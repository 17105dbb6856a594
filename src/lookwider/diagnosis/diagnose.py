"""Find the three kinds of failure over a data set."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lookwider.classes import Classes
from lookwider.data.sample import LabelArray, Sample, SegmentationDataset
from lookwider.diagnosis import confusable, inconspicuous, mismatched
from lookwider.diagnosis.curves import CONTRAST_EDGES, SIZE_EDGES, RecallCurve
from lookwider.diagnosis.failures import KINDS, ImageFailures, image_failures, label_of
from lookwider.diagnosis.objects import FailedObject
from lookwider.diagnosis.relations import ClassRelations
from lookwider.diagnosis.result import (
    ClassFailure,
    ClassPair,
    Diagnosis,
    FailureExample,
    KindResult,
)
from lookwider.diagnosis.thresholds import Thresholds
from lookwider.errors import ConfigError
from lookwider.evaluation.evaluate import evaluate
from lookwider.models import Segmenter

EXAMPLES = 4
"""Objects of each kind that are kept to be looked at."""

_ABOUT = dict(zip(KINDS, (mismatched, confusable, inconspicuous), strict=True))


def diagnose(
    model: Segmenter,
    dataset: SegmentationDataset,
    relations: ClassRelations,
    *,
    thresholds: Thresholds | None = None,
    examples: int = EXAMPLES,
    name: str = "",
    **evaluation: Any,
) -> Diagnosis:
    """Run a model over labelled images and sort its failures.

    Args:
        model: put in evaluation mode while it runs.
        dataset: labelled samples whose classes are the model's.
        relations: which classes are together in the training data.
        thresholds: where the kinds begin; `Thresholds` when None.
        examples: objects of each kind to keep.
        name: of the model; its architecture's when empty.
        **evaluation: passed on to `evaluate`.

    Raises:
        DataError: what `evaluate` raises, or the relations are of other classes.
    """
    found = Diagnoser(
        model.classes,
        relations,
        thresholds=thresholds,
        examples=examples,
        name=name or str(model.architecture["name"]),
    )
    observers = (*evaluation.pop("observers", ()), found)
    evaluate(model, dataset, observers=observers, **evaluation)
    return found.result()


class Diagnoser:
    """An observer of `evaluate` that sorts the failures of every image.

    Args:
        classes: of labels and predictions.
        relations: which classes are together in the training data.
        thresholds: where the kinds begin; `Thresholds` when None.
        examples: objects of each kind to keep.
        name: of what is diagnosed.

    Raises:
        DataError: the relations are of other classes.
        ConfigError: ``examples`` is negative.
    """

    def __init__(
        self,
        classes: Classes,
        relations: ClassRelations,
        *,
        thresholds: Thresholds | None = None,
        examples: int = EXAMPLES,
        name: str = "network",
    ) -> None:
        relations.check_classes(classes.names)
        if examples < 0:
            raise ConfigError(f"got examples={examples}, expected a number from 0 up")
        self.classes, self.name = classes, name
        self.thresholds = thresholds or Thresholds()
        self.training_images = relations.images
        self.unseen = relations.unseen(self.thresholds.together, self.thresholds.rare)
        self.images = self.wrong = self.other = self.overlooked = self.at_borders = 0
        self.labelled = np.zeros(len(classes), np.int64)
        self.kinds = {kind: _KindTally(len(classes), examples) for kind in KINDS}
        self.by_size = RecallCurve.empty("share of the image", SIZE_EDGES, classes)
        self.by_contrast = RecallCurve.empty("contrast", CONTRAST_EDGES, classes)

    def __call__(self, sample: Sample, prediction: LabelArray) -> None:
        """Take in one image."""
        found = image_failures(sample, prediction, self.unseen, self.classes, self.thresholds)
        self.add(sample, prediction, found)

    def add(self, sample: Sample, prediction: LabelArray, found: ImageFailures) -> None:
        """Take in the failures of one image."""
        label = label_of(sample)
        size = len(self.classes)
        self.images += 1
        self.labelled += np.bincount(label[found.labelled], minlength=size)
        self.wrong += int(np.count_nonzero(found.wrong))
        self.overlooked += found.overlooked
        for kind, tally in self.kinds.items():
            tally.pixels += np.bincount(label[found.masks[kind]], minlength=size)
            for failed in found.objects[kind]:
                tally.add(failed, sample, prediction, self.images)
        self.other += int(np.count_nonzero(found.other))
        self.at_borders += found.at_borders
        for each in found.seen:
            missed = each.is_missed(self.thresholds)
            numbers = (each.pixels, each.right)
            own, truth = each.truth.region.class_id, each.truth
            self.by_size.add(own, truth.size, *numbers, missed=missed)
            self.by_contrast.add(own, truth.contrast, *numbers, missed=missed)

    def result(self) -> Diagnosis:
        """Return what was found so far."""
        return Diagnosis(
            name=self.name,
            classes=self.classes,
            images=self.images,
            pixels=int(self.labelled.sum()),
            wrong=self.wrong,
            other=self.other,
            at_borders=self.at_borders,
            **{kind: self._kind(kind) for kind in KINDS},
            out_of_place=self._pairs("mismatched"),
            swapped=self._pairs("confusable"),
            overlooked=self.overlooked,
            by_size=self.by_size,
            by_contrast=self.by_contrast,
            settings={
                "thresholds": self.thresholds.to_json(),
                "training_images": self.training_images,
            },
        )

    def _kind(self, kind: str) -> KindResult:
        tally, about = self.kinds[kind], _ABOUT[kind]
        return KindResult(
            kind=kind,
            title=about.TITLE,
            definition=about.definition(self.thresholds),
            source=about.SOURCE,
            pixels=int(tally.pixels.sum()),
            labelled=int(self.labelled.sum()),
            wrong=self.wrong,
            objects=tally.objects,
            per_class=tuple(
                ClassFailure(name, int(pixels), int(labelled))
                for name, pixels, labelled in zip(
                    self.classes.names, tally.pixels, self.labelled, strict=True
                )
            ),
            examples=tally.examples(),
        )

    def _pairs(self, kind: str) -> tuple[ClassPair, ...]:
        tally, names = self.kinds[kind], self.classes.names
        pairs = [
            ClassPair(names[first], names[second], objects, tally.pair_pixels[first, second])
            for (first, second), objects in tally.pair_objects.items()
        ]
        return tuple(sorted(pairs, key=lambda p: (-p.pixels, p.first, p.second)))


@dataclass
class _KindTally:
    """One kind of failure so far."""

    num_classes: int
    keep: int
    objects: int = 0
    pixels: npt.NDArray[np.int64] = field(init=False)
    pair_objects: Counter[tuple[int, int]] = field(default_factory=Counter)
    pair_pixels: Counter[tuple[int, int]] = field(default_factory=Counter)
    worst: list[tuple[int, int, int, FailureExample]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pixels = np.zeros(self.num_classes, np.int64)

    def add(
        self, failed: FailedObject, sample: Sample, prediction: LabelArray, number: int
    ) -> None:
        """Count an object of image ``number``, and keep it if it is among the worst."""
        self.objects += 1
        self.pair_objects[failed.pair] += 1
        self.pair_pixels[failed.pair] += failed.pixels
        entry = (failed.pixels, -number, -self.objects)
        if len(self.worst) < self.keep or (self.worst and entry > self.worst[0][:3]):
            heapq.heappush(self.worst, (*entry, _example(failed, sample, prediction)))
            if len(self.worst) > self.keep:
                heapq.heappop(self.worst)

    def examples(self) -> tuple[FailureExample, ...]:
        """Return the worst, the worst first; of equal ones the earlier."""
        return tuple(e for *_, e in sorted(self.worst, key=lambda w: w[:3], reverse=True))


def _example(failed: FailedObject, sample: Sample, prediction: LabelArray) -> FailureExample:
    label = label_of(sample)
    mask = np.zeros(label.shape, bool)
    mask[failed.region.slices] = failed.mask
    return FailureExample(
        name=sample.name,
        box=failed.region.box,
        words=failed.words,
        severity=failed.pixels,
        image=sample.image,
        label=label,
        prediction=prediction,
        mask=mask,
    )
