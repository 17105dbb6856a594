"""All three kinds of failure in one image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lookwider.classes import IGNORE_INDEX, Classes
from lookwider.data.sample import LabelArray, Sample
from lookwider.diagnosis.confusable import confused_objects
from lookwider.diagnosis.inconspicuous import (
    SeenObject,
    TrueObject,
    inconspicuous_object,
    seen_object,
    true_objects,
)
from lookwider.diagnosis.mismatched import mismatched_objects
from lookwider.diagnosis.objects import FailedObject, Mask, bridged, near_borders
from lookwider.diagnosis.thresholds import Thresholds
from lookwider.errors import DataError

KINDS = ("mismatched", "confusable", "inconspicuous")
"""The names of the three kinds, in the order of the paper."""

NEAR = 0.01
"""A pixel is near a border if another class is not farther than this share of the diagonal."""


@dataclass(frozen=True, eq=False)
class ImageFailures:
    """What failed in one image.

    Attributes:
        labelled: (H, W) where the truth says a class.
        wrong: (H, W) where the prediction is another.
        objects: the failed objects by kind.
        seen: every object of the truth.
        masks: (H, W) the pixels of each kind.
        other: (H, W) wrong pixels of none of the kinds.
        overlooked: pixels of inconspicuous objects that were taken for what touches them.
        at_borders: pixels of ``other`` that are near a border between two true classes.
    """

    labelled: Mask
    wrong: Mask
    objects: dict[str, list[FailedObject]]
    seen: list[SeenObject]
    masks: dict[str, Mask]
    other: Mask
    overlooked: int
    at_borders: int


def image_failures(
    sample: Sample,
    prediction: LabelArray,
    unseen: npt.NDArray[np.bool_],
    classes: Classes,
    thresholds: Thresholds,
    truth: Sequence[TrueObject] | None = None,
) -> ImageFailures:
    """Return what failed in one image, by kind.

    Args:
        sample: with its label.
        prediction: (H, W) class ids.
        unseen: (K, K) pairs that do not belong together; see `ClassRelations.unseen`.
        classes: of label and prediction.
        thresholds: where the kinds begin.
        truth: what `objects_in` says of the sample, where it is known already.

    Raises:
        DataError: there is no label, or the prediction is of another size.
    """
    label = label_of(sample)
    if prediction.shape != label.shape:
        raise DataError(
            f"{sample.name}: got a prediction of shape {prediction.shape} for a label of shape "
            f"{label.shape}, expected the same"
        )
    labelled = label != IGNORE_INDEX
    truth = objects_in(sample, len(classes), thresholds) if truth is None else truth
    seen = [seen_object(each, prediction) for each in truth]
    missed = [s for s in seen if s.is_missed(thresholds) and s.is_inconspicuous(thresholds)]
    objects = {
        "mismatched": list(mismatched_objects(label, prediction, unseen, classes, thresholds)),
        "confusable": list(
            confused_objects([t.region for t in truth], label, prediction, classes, thresholds)
        ),
        "inconspicuous": [inconspicuous_object(each, classes) for each in missed],
    }
    wrong = labelled & (prediction != label)
    masks = {kind: _mask(failed, labelled.shape) for kind, failed in objects.items()}
    other = wrong & ~np.any(list(masks.values()), axis=0)
    near = near_borders(bridged(label), max(1, round(NEAR * float(np.hypot(*label.shape)))))
    return ImageFailures(
        labelled,
        wrong,
        objects,
        seen,
        masks,
        other,
        overlooked=sum(each.overlooked for each in missed),
        at_borders=int(np.count_nonzero(other & near)),
    )


def objects_in(sample: Sample, num_classes: int, thresholds: Thresholds) -> list[TrueObject]:
    """Return the objects of a sample's truth; they are the same whatever the prediction.

    Raises:
        DataError: there is no label.
    """
    return true_objects(sample.image, label_of(sample), num_classes, thresholds)


def label_of(sample: Sample) -> LabelArray:
    """Return the label of a sample.

    Raises:
        DataError: there is none.
    """
    if sample.label is None:
        raise DataError(f"{sample.name}: has no label, expected one to find failures with")
    return sample.label


def _mask(objects: Iterable[FailedObject], size: tuple[int, ...]) -> Mask:
    mask = np.zeros(size, bool)
    for failed in objects:
        mask[failed.region.slices] |= failed.mask
    return mask
