"""Confusable categories: one object that is partly this and partly that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from scipy import ndimage

from lookwider.classes import IGNORE_INDEX, Classes
from lookwider.data.sample import LabelArray
from lookwider.diagnosis.objects import (
    TOUCHING,
    FailedObject,
    LabelObject,
    Mask,
    border_classes,
)
from lookwider.diagnosis.thresholds import Thresholds

TITLE = "confusable categories"
SOURCE = "Zhao et al. 2017, Pyramid Scene Parsing Network, section 3.1"


def definition(thresholds: Thresholds) -> str:
    """Return what is counted, in words.

    Example:
        >>> print(definition(Thresholds())[:47])
        Wrong pixels of true objects (connected regions
    """
    return (
        "Wrong pixels of true objects (connected regions of one true class) that two predicted "
        f"classes share, each with at least {100 * thresholds.part:g} % of the object. A wrong "
        "part counts only where less than half of its border is of the class that it was taken "
        "for: otherwise that class only spreads into the object from beside it."
    )


def confused_objects(
    regions: Iterable[LabelObject],
    label: LabelArray,
    prediction: LabelArray,
    classes: Classes,
    thresholds: Thresholds,
) -> Iterator[FailedObject]:
    """Yield the true objects that two predicted classes share.

    Args:
        regions: the objects of the truth.
        label: (H, W) the truth, 255 where ignored.
        prediction: (H, W).
        classes: for the words.
        thresholds: ``part`` is used.
    """
    for region in regions:
        found = np.where(region.mask, prediction[region.slices], IGNORE_INDEX)
        area = region.area
        counts = np.bincount(found[region.mask], minlength=len(classes))
        enough = [int(c) for c in np.flatnonzero(counts >= thresholds.part * area)]
        if len(enough) < 2:
            continue
        parts = {c: _part(region, found, c, label) for c in enough}
        ranked = sorted(parts, key=lambda c: (-np.count_nonzero(parts[c]), c))
        pair = [c for c in ranked if np.count_nonzero(parts[c]) >= thresholds.part * area][:2]
        if len(pair) < 2:
            continue
        wrong = np.zeros_like(region.mask)
        for c in pair:
            if c != region.class_id:
                wrong |= parts[c]
        shares = " and ".join(f"{100 * counts[c] / area:.0f} % {classes.names[c]}" for c in pair)
        words = f"one {classes.names[region.class_id]} is {shares}"
        yield FailedObject(region, wrong, (min(pair), max(pair)), words)


def _part(region: LabelObject, found: LabelArray, class_id: int, label: LabelArray) -> Mask:
    """Return where in the object's box a class was predicted and did not spread from beside it."""
    mask = np.asarray(found == class_id)
    if class_id == region.class_id:
        return mask
    kept = np.zeros_like(mask)
    top, left = region.box[:2]
    numbers, _ = ndimage.label(mask, structure=TOUCHING)
    for number, (rows, cols) in enumerate(ndimage.find_objects(numbers), start=1):
        own = numbers[rows, cols] == number
        box = (top + rows.start, left + cols.start, top + rows.stop, left + cols.stop)
        border = border_classes(LabelObject(class_id, box, own), label, class_id + 1)
        if 2 * border[class_id] < border.sum():
            kept[rows, cols] |= own
    return kept
