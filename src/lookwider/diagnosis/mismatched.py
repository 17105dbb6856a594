"""Mismatched relationship: a thing where such a thing never is, like a car on a lake."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from lookwider.classes import IGNORE_INDEX, Classes
from lookwider.data.sample import LabelArray
from lookwider.diagnosis.objects import FailedObject, border_classes, objects_of
from lookwider.diagnosis.thresholds import Thresholds

TITLE = "mismatched relationship"
SOURCE = "Zhao et al. 2017, Pyramid Scene Parsing Network, section 3.1"


def definition(thresholds: Thresholds) -> str:
    """Return what is counted, in words.

    Example:
        >>> print(definition(Thresholds())[:52])
        Wrong pixels of predicted objects (connected regions
    """
    seen = "touch it" if thresholds.together == "touching" else "are in the image"
    return (
        "Wrong pixels of predicted objects (connected regions of one predicted class) that are "
        f"mostly wrong and at whose border at least {100 * thresholds.mostly:g} % of the true "
        f"classes do not belong: in training they {seen} in less than "
        f"{100 * thresholds.rare:g} % of the images that hold the predicted class, or in none."
    )


def mismatched_objects(
    label: LabelArray,
    prediction: LabelArray,
    unseen: npt.NDArray[np.bool_],
    classes: Classes,
    thresholds: Thresholds,
) -> Iterator[FailedObject]:
    """Yield the predicted objects that do not belong where they are.

    The border is made of the pixels that touch the object, by their true class; ignored ones
    stand for the class behind them, see `border_classes`. So a boat that
    was wholly taken for a car is judged by the lake around it, not by the boat.

    Args:
        label: (H, W) the truth, 255 where ignored.
        prediction: (H, W).
        unseen: (K, K) pairs that do not belong together; see `ClassRelations.unseen`.
        classes: for the words.
        thresholds: ``mostly`` and ``least`` are used.
    """
    size = (label.shape[0], label.shape[1])
    for region in objects_of(prediction, thresholds.least_pixels(size)):
        if not unseen[region.class_id].any():
            continue
        truth = label[region.slices]
        labelled = region.mask & (truth != IGNORE_INDEX)
        wrong = labelled & (truth != region.class_id)
        if 2 * np.count_nonzero(wrong) <= np.count_nonzero(labelled):
            continue
        border = border_classes(region, label, len(classes))
        foreign = np.where(unseen[region.class_id], border, 0)
        share = foreign.sum() / max(1, border.sum())
        if foreign.any() and share >= thresholds.mostly:
            other = int(foreign.argmax())
            true = int(np.bincount(truth[wrong]).argmax())
            words = (
                f"{classes.names[true]} called {classes.names[region.class_id]}; "
                f"{100 * foreign[other] / border.sum():.0f} % of its border is "
                f"{classes.names[other]}"
            )
            yield FailedObject(region, wrong, (region.class_id, other), words)
