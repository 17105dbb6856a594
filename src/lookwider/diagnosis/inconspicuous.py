"""Inconspicuous classes: small things, and things that look like what is around them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lookwider.classes import Classes
from lookwider.data.sample import ImageArray, LabelArray
from lookwider.diagnosis.objects import (
    Counts,
    FailedObject,
    LabelObject,
    Mask,
    around,
    border_classes,
    objects_of,
)
from lookwider.diagnosis.thresholds import Thresholds

TITLE = "inconspicuous classes"
SOURCE = "Zhao et al. 2017, Pyramid Scene Parsing Network, section 3.1"

RING = 0.25
"""Width of the ring that an object's colours are compared with, in sides of a square as large."""

LEAST_RING = 2
"""Pixels that the ring is wide at least."""

STEP = 1 / 255
"""A difference of an 8-bit image's last digit, as a share of the range: never seen as contrast."""


def definition(thresholds: Thresholds) -> str:
    """Return what is counted, in words.

    Example:
        >>> print(definition(Thresholds())[:47])
        Wrong pixels of true objects (connected regions
    """
    return (
        "Wrong pixels of true objects (connected regions of one true class) that are missed "
        f"(less than {100 * thresholds.missed:g} % of the object is right) and either small (less "
        f"than {100 * thresholds.small:g} % of the image), or not large (less than "
        f"{100 * thresholds.alike:g} %), alike their surroundings (the mean colours differ by less "
        f"than {_deviations(thresholds.contrast)}) and mostly taken for classes that touch them."
    )


def _deviations(number: float) -> str:
    return "one standard deviation" if number == 1 else f"{number:g} standard deviations"


@dataclass(frozen=True, eq=False)
class TrueObject:
    """An object of the truth, with what makes it easy or hard to see.

    Attributes:
        region: where it is.
        size: its share of the image.
        contrast: how far it stands out from its surroundings; see `contrast_of`.
        touching: (K,) which other classes touch it.
    """

    region: LabelObject
    size: float
    contrast: float
    touching: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class SeenObject:
    """An object of the truth, and what a network made of it.

    Attributes:
        truth: the object.
        wrong: (h, w) of its box, where the prediction is wrong.
        taken_for: (K,) pixels by predicted class.
    """

    truth: TrueObject
    wrong: Mask
    taken_for: Counts

    @property
    def pixels(self) -> int:
        """Its pixels."""
        return int(self.taken_for.sum())

    @property
    def right(self) -> int:
        """Those that are right."""
        return int(self.taken_for[self.truth.region.class_id])

    @property
    def overlooked(self) -> int:
        """Its wrong pixels that were taken for a class that touches it."""
        return int(self.taken_for[self.truth.touching].sum())

    def is_missed(self, thresholds: Thresholds) -> bool:
        """Whether too little of it is right."""
        return self.right < thresholds.missed * self.pixels

    def is_inconspicuous(self, thresholds: Thresholds) -> bool:
        """Whether it is small, or not large, alike its surroundings and mostly taken for them."""
        if self.truth.size < thresholds.small:
            return True
        alike = self.truth.size < thresholds.alike and self.truth.contrast < thresholds.contrast
        return alike and 2 * self.overlooked > self.pixels - self.right


def true_objects(
    image: ImageArray, label: LabelArray, num_classes: int, thresholds: Thresholds
) -> list[TrueObject]:
    """Return every object of the truth that is not too small to look at.

    Shape:
        image (H, W, C); label (H, W).
    """
    size = (label.shape[0], label.shape[1])
    found = []
    for region in objects_of(label, thresholds.least_pixels(size)):
        touching = border_classes(region, label, num_classes) > 0
        touching[region.class_id] = False
        share = region.area / (size[0] * size[1])
        found.append(TrueObject(region, share, contrast_of(image, region), touching))
    return found


def seen_object(truth: TrueObject, prediction: LabelArray) -> SeenObject:
    """Return what a prediction (H, W) made of an object."""
    region = truth.region
    found = prediction[region.slices]
    taken_for = np.bincount(found[region.mask], minlength=len(truth.touching))
    wrong = region.mask & (found != region.class_id)
    return SeenObject(truth, wrong, np.asarray(taken_for, np.int64))


def inconspicuous_object(seen: SeenObject, classes: Classes) -> FailedObject:
    """Return a missed object as a failure."""
    truth, own = seen.truth, seen.truth.region.class_id
    wrongly = seen.taken_for.copy()
    wrongly[own] = 0
    other = int(wrongly.argmax())
    contrast = f"contrast {truth.contrast:.1f}" if np.isfinite(truth.contrast) else "all there is"
    words = (
        f"{classes.names[own]} taken for {classes.names[other]}; {100 * truth.size:.2g} % of the "
        f"image, {contrast}"
    )
    return FailedObject(truth.region, seen.wrong, (own, other), words)


def contrast_of(image: ImageArray, region: LabelObject) -> float:
    r"""Return how far an object's colours stand out from those around it.

    .. math:: d = \sqrt{\frac{1}{C} \sum_c \frac{(m_c - n_c)^2}{(s_c^2 + t_c^2) / 2}}

    with the mean m and deviation s of band c within the object, and n and t of the ring around
    it: the discriminability d' of signal detection (Green and Swets 1966) of single pixels, root
    mean square over the bands. At 1, the best guess from one band of one pixel is right in 69 % of
    cases, where half of the pixels are the object's. It needs no colour space, and so takes images
    of any bands and depth. Only colours are compared: a texture counts by how widely its colours
    vary. Deviations below the last digit of an 8-bit image count as that.

    Returns:
        from 0 up; infinite of an object that is the whole image.
    """
    size = (image.shape[0], image.shape[1])
    width = max(LEAST_RING, round(RING * np.sqrt(region.area)))
    ring = around(region, size, width)
    if not ring.mask.any():
        return float("inf")
    mean, variance = _moments(image[region.slices][region.mask])
    other_mean, other_variance = _moments(image[ring.slices][ring.mask])
    span = 255.0 if image.dtype == np.uint8 else float(image.max()) - float(image.min())
    least = max((STEP * span) ** 2, 1e-24)
    pooled = np.maximum((variance + other_variance) / 2, least)
    return float(np.sqrt(np.mean((mean - other_mean) ** 2 / pooled)))


def _moments(
    pixels: npt.NDArray[np.generic],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return mean and variance of each band of pixels (N, C)."""
    values = pixels.astype(np.float64)
    mean = values.mean(0)
    values -= mean
    return mean, np.einsum("nc,nc->c", values, values) / len(values)
