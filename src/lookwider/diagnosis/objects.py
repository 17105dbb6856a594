"""Objects of a label map: connected regions of one class, and what lies around them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from lookwider.classes import IGNORE_INDEX
from lookwider.data.sample import LabelArray

Mask = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]
Box = tuple[int, int, int, int]
"""(top, left, bottom, right), the last two exclusive."""

BRIDGE = 5
"""Pixels: ignored ones this near to a class take it, so that a band of them between two objects,
as PASCAL VOC draws it, does not keep these from touching."""

TOUCHING = np.ones((3, 3), bool)
"""Pixels are neighbours where they touch at a side or a corner."""


@dataclass(frozen=True, eq=False)
class LabelObject:
    """A connected region of one class.

    Attributes:
        class_id: of its pixels.
        box: the smallest that holds it.
        mask: (h, w) of the box, where it is.
    """

    class_id: int
    box: Box
    mask: Mask

    @property
    def slices(self) -> tuple[slice, slice]:
        """The box as an index of the image."""
        top, left, bottom, right = self.box
        return slice(top, bottom), slice(left, right)

    @property
    def area(self) -> int:
        """Number of its pixels."""
        return int(np.count_nonzero(self.mask))


@dataclass(frozen=True, eq=False)
class Around:
    """The pixels around an object, itself left out.

    Attributes:
        slices: of the image.
        mask: of these, where the pixels are.
    """

    slices: tuple[slice, slice]
    mask: Mask


def objects_of(labels: LabelArray, least: int = 1) -> Iterator[LabelObject]:
    """Yield the connected regions of a label map, class by class, from top to bottom.

    Args:
        labels: (H, W) class ids; pixels of 255 are in no object.
        least: smaller ones are left out.

    Example:
        >>> [o.area for o in objects_of(np.array([[0, 0, 1], [1, 1, 0]], np.uint8))]
        [3, 3]
    """
    for class_id, found in enumerate(ndimage.find_objects(labels.astype(np.int32) + 1)):
        if found is None or class_id == IGNORE_INDEX:
            continue
        regions, _ = ndimage.label(labels[found] == class_id, structure=TOUCHING)
        areas = np.bincount(regions.ravel())
        top, left = found[0].start, found[1].start
        for number, (rows, cols) in enumerate(ndimage.find_objects(regions), start=1):
            if areas[number] >= least:
                box = (top + rows.start, left + cols.start, top + rows.stop, left + cols.stop)
                yield LabelObject(class_id, box, regions[rows, cols] == number)


def around(region: LabelObject, size: tuple[int, int], width: int = 1) -> Around:
    """Return the pixels of an image of this size that are at most ``width`` from an object.

    The distance is the larger of the rows and the columns between two pixels.

    Example:
        >>> dot = LabelObject(0, (1, 1, 2, 2), np.ones((1, 1), bool))
        >>> around(dot, (3, 3)).mask.astype(int).tolist()
        [[1, 1, 1], [1, 0, 1], [1, 1, 1]]
    """
    top, left, bottom, right = region.box
    high, low = max(0, top - width), min(size[0], bottom + width)
    first, last = max(0, left - width), min(size[1], right + width)
    own = np.zeros((low - high, last - first), bool)
    own[top - high : bottom - high, left - first : right - first] = region.mask
    if width == 1:
        reached = ndimage.binary_dilation(own, TOUCHING)  # the same, faster
    else:
        reached = ndimage.distance_transform_cdt(~own, metric="chessboard") <= width
    return Around((slice(high, low), slice(first, last)), np.asarray(reached & ~own))


def border_classes(region: LabelObject, labels: LabelArray, num_classes: int) -> Counts:
    """Return how many of the pixels that touch an object are of each class.

    An ignored pixel stands for the nearest class outside the object, so that a band of them does
    not hide what is beside it; if none is within twice `BRIDGE` pixels, it counts nowhere.

    Shape:
        (num_classes,) int64.

    Example:
        >>> labels = np.array([[1, 255, 255, 0]], np.uint8)
        >>> border_classes(LabelObject(1, (0, 0, 1, 1), np.ones((1, 1), bool)), labels, 2).tolist()
        [1, 0]
    """
    size = (labels.shape[0], labels.shape[1])
    ring = around(region, size)
    touching = labels[ring.slices][ring.mask]
    if (touching == IGNORE_INDEX).any():
        touching = _across_ignored(region, labels, 2 * BRIDGE)[ring.slices][ring.mask]
    counts = np.bincount(touching[touching != IGNORE_INDEX], minlength=num_classes)
    return np.asarray(counts, np.int64)


def _across_ignored(region: LabelObject, labels: LabelArray, reach: int) -> LabelArray:
    """Return the labels with the ignored pixels around an object filled from outside it."""
    top, left, bottom, right = region.box
    # all that a pixel touching the object can reach
    high, first = max(0, top - reach - 1), max(0, left - reach - 1)
    window = (slice(high, bottom + reach + 1), slice(first, right + reach + 1))
    near = labels[window]
    outside = near != IGNORE_INDEX
    outside[top - high : bottom - high, left - first : right - first] &= ~region.mask
    filled = labels.copy()
    filled[window] = _filled(near, outside, reach)
    return filled


def bridged(labels: LabelArray) -> LabelArray:
    """Return the labels with ignored pixels near a class filled by the nearest one.

    Example:
        >>> bridged(np.array([[0, 255, 255, 1]], np.uint8)).tolist()
        [[0, 0, 1, 1]]
    """
    ignored = labels == IGNORE_INDEX
    return _filled(labels, ~ignored, BRIDGE) if ignored.any() else labels


def _filled(labels: LabelArray, known: Mask, reach: int) -> LabelArray:
    """Return the labels with ignored pixels filled by the nearest known one within reach."""
    if not known.any():
        return labels
    distance, (rows, cols) = ndimage.distance_transform_edt(~known, return_indices=True)
    fill = (labels == IGNORE_INDEX) & (distance <= reach)
    return np.where(fill, labels[rows, cols], labels).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class FailedObject:
    """An object of one kind of failure.

    Attributes:
        region: the object: of the prediction for a mismatched one, else of the truth.
        mask: (h, w) of the region's box, the pixels that are of the failure; all are wrong.
        pair: the two classes it is about: a mismatched object's predicted one and the one around
            it, the two that share a confused one in order of their ids, an inconspicuous one's
            true one and what it was mostly taken for.
        words: what is wrong, for people.
    """

    region: LabelObject
    mask: Mask
    pair: tuple[int, int]
    words: str

    @property
    def pixels(self) -> int:
        """Its wrong pixels of this kind."""
        return int(np.count_nonzero(self.mask))


def near_borders(labels: LabelArray, reach: int) -> Mask:
    """Return where another class is at most ``reach`` pixels away, rows and columns apart.

    Ignored pixels are no class.

    Example:
        >>> near_borders(np.array([[0, 0, 0, 1, 1]], np.uint8), 1).astype(int).tolist()
        [[0, 0, 1, 1, 0]]
    """
    ids = labels.astype(np.int16)
    highest = ndimage.maximum_filter(np.where(ids == IGNORE_INDEX, -1, ids), 2 * reach + 1)
    lowest = ndimage.minimum_filter(ids, 2 * reach + 1)
    return np.asarray((lowest < highest) & (ids != IGNORE_INDEX))
