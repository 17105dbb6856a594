"""Random transforms ``Sample -> Sample``: draw numbers from torch's random state, then change.

The changes themselves are the pure functions of `lookwider.data.warping`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch

from lookwider.data.rotation import rotate, rotated_crop
from lookwider.data.sample import Sample
from lookwider.data.warping import (
    Fill,
    Size,
    blur,
    crop,
    flip,
    recolour,
    resize,
)


class SampleTransform(Protocol):
    """What turns a sample into another of the same kind."""

    def __call__(self, sample: Sample) -> Sample:
        """Return the transformed sample; the given one stays as it is."""
        ...


@dataclass(frozen=True)
class Resize:
    """Resize every sample to one size."""

    size: Size

    def __call__(self, sample: Sample) -> Sample:
        """Return the sample at ``size``."""
        return resize(sample, self.size)


@dataclass(frozen=True)
class RandomScale:
    """Resize by a factor drawn evenly from a range (PSPNet, section 5.1: 0.5 to 2)."""

    low: float
    high: float

    def __call__(self, sample: Sample) -> Sample:
        """Return the sample at a random size, at least 1 x 1."""
        factor = _uniform(self.low, self.high)
        height, width = sample.image.shape[:2]
        return resize(sample, (max(1, round(height * factor)), max(1, round(width * factor))))


@dataclass(frozen=True)
class RandomCrop:
    """Cut out a random window; a smaller image is placed at random in it, with fill around."""

    size: Size
    fill: Fill

    def __call__(self, sample: Sample) -> Sample:
        """Return a window of ``size``."""
        top, left = _corner(sample, self.size)
        return crop(sample, top, left, self.size, self.fill)


@dataclass(frozen=True)
class RandomFlip:
    """Mirror with a probability."""

    probability: float = 0.5

    def __call__(self, sample: Sample) -> Sample:
        """Return the sample or its mirror image."""
        return flip(sample) if _uniform(0.0, 1.0) < self.probability else sample


@dataclass(frozen=True)
class RandomRotation:
    """Rotate by an angle drawn evenly from -degrees to degrees (PSPNet: 10)."""

    degrees: float
    fill: Fill

    def __call__(self, sample: Sample) -> Sample:
        """Return the rotated sample."""
        return rotate(sample, _uniform(-self.degrees, self.degrees), self.fill)


@dataclass(frozen=True)
class RandomRotatedCrop:
    """`RandomRotation` and then `RandomCrop`, computing only what the crop keeps."""

    degrees: float
    size: Size
    fill: Fill

    def __call__(self, sample: Sample) -> Sample:
        """Return a window of ``size`` of the rotated sample."""
        degrees = _uniform(-self.degrees, self.degrees)
        top, left = _corner(sample, self.size)
        return rotated_crop(sample, degrees, top, left, self.size, self.fill)


@dataclass(frozen=True)
class RandomBlur:
    """Blur with a probability, 5 x 5, sigma from 0.1 to 2 (PSPNet: 0.5)."""

    probability: float = 0.5
    kernel_size: int = 5

    def __call__(self, sample: Sample) -> Sample:
        """Return the sample, blurred or not."""
        if _uniform(0.0, 1.0) >= self.probability:
            return sample
        return blur(sample, self.kernel_size, _uniform(0.1, 2.0))


@dataclass(frozen=True)
class RandomColour:
    """Change brightness, contrast and saturation by up to ``strength``, the hue by a quarter."""

    strength: float

    def __call__(self, sample: Sample) -> Sample:
        """Return the sample in other colours."""
        low, high = max(0.0, 1 - self.strength), 1 + self.strength
        turn = min(0.5, self.strength / 4)
        return recolour(
            sample,
            brightness=_uniform(low, high),
            contrast=_uniform(low, high),
            saturation=_uniform(low, high),
            hue=_uniform(-turn, turn),
        )


@dataclass(frozen=True)
class RandomShift:
    """Move by up to ``pixels`` each way, as FCN's jitter (section 4.3: 32, the coarsest scale)."""

    pixels: int
    fill: Fill

    def __call__(self, sample: Sample) -> Sample:
        """Return the sample, moved, at its size."""
        top, left = (_integer(-self.pixels, self.pixels) for _ in range(2))
        height, width = sample.image.shape[:2]
        return crop(sample, top, left, (height, width), self.fill)


@dataclass(frozen=True)
class Compose:
    """One transform after the other."""

    transforms: tuple[SampleTransform, ...]

    def __call__(self, sample: Sample) -> Sample:
        """Return the sample after all transforms."""
        for transform in self.transforms:
            sample = transform(sample)
        return sample


def _corner(sample: Sample, size: Size) -> tuple[int, int]:
    """Draw where a window lies in an image, or the image in a larger window."""
    top, left = (
        _integer(min(0, have - want), max(0, have - want))
        for have, want in zip(sample.image.shape[:2], size, strict=True)
    )
    return top, left


def _uniform(low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand((), dtype=torch.float64))


def _integer(low: int, high: int) -> int:
    """Draw from low to high, both included."""
    return int(torch.randint(low, high + 1, ()))
