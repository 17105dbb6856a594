"""Pure changes of a sample: one geometry for the image and all of its labels.

Every number is an argument. Images are interpolated bilinearly, labels take the nearest pixel,
and what comes from outside is a given fill or ignore.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from lookwider.classes import IGNORE_INDEX
from lookwider.data.sample import ImageArray, LabelArray, Sample
from lookwider.errors import DataError

ScalarT = TypeVar("ScalarT", bound=np.generic)
Size = tuple[int, int]
Fill = tuple[float, ...]
"""A raw value per band for pixels from outside, e.g. `Preprocessing.fill_value`."""


def resize(sample: Sample, size: Size) -> Sample:
    """Resize to (height, width): the image bilinear with antialiasing, labels nearest.

    Pixel centres are at halves for both, as in Pillow, so that image and label stay aligned.
    """
    if sample.image.shape[:2] == tuple(size):
        return sample
    return change_tensors(
        sample,
        lambda image: functional.resize(image, list(size), antialias=True),
        lambda label: functional.resize_image(
            label, list(size), interpolation=InterpolationMode.NEAREST_EXACT
        ),
    )


def crop(sample: Sample, top: int, left: int, size: Size, fill: Fill) -> Sample:
    """Cut out a window of (height, width); it may reach beyond the image on any side.

    Args:
        sample: the sample.
        top: first row; negative begins above the image.
        left: first column.
        size: (height, width) of the window.
        fill: per band, for what is outside; labels get ignore there.
    """
    height, width = sample.image.shape[:2]
    rows, cols = overlap(top, size[0], height), overlap(left, size[1], width)
    place = (slice(rows.start - top, rows.stop - top), slice(cols.start - left, cols.stop - left))
    image = np.empty((*size, sample.image.shape[2]), sample.image.dtype)
    outside = _as_dtype(fill, sample)
    if (rows.stop - rows.start, cols.stop - cols.start) != tuple(size):
        image[:] = outside
    image[place] = sample.image[rows, cols]

    def cut(label: LabelArray) -> LabelArray:
        window = np.full(size, IGNORE_INDEX, np.uint8)
        window[place] = label[rows, cols]
        return window

    return _with_labels(replace(sample, image=image), cut)


def flip(sample: Sample) -> Sample:
    """Mirror left and right."""
    return change_tensors(sample, functional.horizontal_flip, functional.horizontal_flip)


def blur(sample: Sample, kernel_size: int, sigma: float) -> Sample:
    """Blur the image with a Gaussian; labels stay."""
    return change_tensors(
        sample, lambda image: functional.gaussian_blur(image, [kernel_size] * 2, [sigma] * 2)
    )


def recolour(
    sample: Sample, brightness: float, contrast: float, saturation: float, hue: float
) -> Sample:
    """Change the colours of an RGB uint8 image by three factors around 1 and a turn of the hue.

    Raises:
        DataError: the image is not 8-bit RGB, where saturation and hue mean nothing.
    """
    if sample.image.dtype != np.uint8 or sample.image.shape[2] != 3:
        raise DataError(
            f"{sample.name!r}: colour jitter needs 8-bit RGB, got {sample.image.shape[2]} bands of "
            f"{sample.image.dtype}; set colour=0"
        )

    def change(image: Tensor) -> Tensor:
        image = functional.adjust_brightness(image, brightness)
        image = functional.adjust_contrast(image, contrast)
        image = functional.adjust_saturation(image, saturation)
        turned: Tensor = functional.adjust_hue(image, hue)
        return turned

    return change_tensors(sample, change)


def overlap(start: int, length: int, limit: int) -> slice:
    """Return the part of ``start .. start + length`` within ``0 .. limit``; it may be empty."""
    first = min(max(start, 0), limit)
    return slice(first, max(first, min(start + length, limit)))


def change_tensors(
    sample: Sample,
    image_function: Callable[[Tensor], Tensor],
    label_function: Callable[[Tensor], Tensor] | None = None,
) -> Sample:
    """Apply a function of tensors (C, H, W) to the image, and one to each label.

    Args:
        sample: the sample.
        image_function: takes and returns the image, 16-bit ones as float32.
        label_function: takes and returns a label (1, H, W); they stay when not given.
    """
    array = sample.image
    # torch computes little in uint16, and float32 holds every one of its values
    values = array.astype(np.float32) if array.dtype == np.uint16 else _own(array)
    tensor = image_function(tv_tensors.Image(torch.from_numpy(values).permute(2, 0, 1)))
    result = np.ascontiguousarray(tensor.permute(1, 2, 0).numpy())
    changed = replace(sample, image=_restore(result, array.dtype))
    if label_function is None:
        return changed

    def change(label: LabelArray) -> LabelArray:
        mask = tv_tensors.Mask(torch.from_numpy(_own(label))[None])
        return np.ascontiguousarray(label_function(mask)[0].numpy())

    return _with_labels(changed, change)


def _own(array: npt.NDArray[ScalarT]) -> npt.NDArray[ScalarT]:
    """Return the array as torch takes it: contiguous and writable."""
    return np.require(array, requirements=["C", "W"])


def _restore(values: npt.NDArray[np.generic], dtype: np.dtype[np.generic]) -> ImageArray:
    if dtype == np.uint16:
        return np.asarray(np.rint(values).clip(0, 65535), np.uint16)
    if dtype == np.uint8:
        return np.asarray(values, np.uint8)
    return np.asarray(values, np.float32)


def _with_labels(sample: Sample, function: Callable[[LabelArray], LabelArray]) -> Sample:
    return replace(
        sample,
        label=None if sample.label is None else function(sample.label),
        extra_labels={head: function(label) for head, label in sample.extra_labels.items()},
    )


def check_bands(fill: Sequence[float], sample: Sample) -> None:
    """Raise a `DataError` unless a fill has a finite value for every band of the image."""
    if len(fill) != sample.image.shape[2]:
        raise DataError(
            f"{sample.name!r}: got a fill of {len(fill)} values for {sample.image.shape[2]} bands, "
            "expected one each"
        )
    if not all(math.isfinite(value) for value in fill):
        raise DataError(f"got the fill {tuple(fill)}, expected finite values")


def _as_dtype(fill: Fill, sample: Sample) -> ImageArray:
    check_bands(fill, sample)
    values = np.asarray(fill)
    return _restore(
        np.rint(values) if sample.image.dtype == np.uint8 else values, sample.image.dtype
    )
