"""What a backbone's weights expect of an image: channel order, value range, mean and std."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lookwider.errors import LookwiderError


@dataclass(frozen=True)
class Preprocessing:
    """Normalisation that travels with the weights.

    ``(image / scale - mean) / std`` per channel, after the channels were put in ``order``.

    Attributes:
        mean: one number per channel, in ``order``.
        std: one number per channel, in ``order``.
        scale: the stored value that becomes 1.0: 255 for weights trained on 0..1, 1 for Caffe's
            0..255, 65535 for 16-bit images.
        order: ``"rgb"``, or ``"bgr"`` as Caffe read images through OpenCV. Images of another
            number of bands than three keep their order.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float = 255.0
    order: Literal["rgb", "bgr"] = "rgb"

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std) or not self.mean:
            raise LookwiderError(
                f"got {len(self.mean)} means and {len(self.std)} stds, expected one of each a band"
            )
        if not all(math.isfinite(value) for value in (*self.mean, *self.std, self.scale)):
            raise LookwiderError("mean, std and scale must be finite")
        if self.scale <= 0 or min(self.std) <= 0:
            raise LookwiderError("scale and std must be positive")
        if self.order not in ("rgb", "bgr"):
            raise LookwiderError(f"got order {self.order!r}, expected 'rgb' or 'bgr'")
        if self.order == "bgr" and len(self.mean) != 3:
            raise LookwiderError(f"order 'bgr' needs 3 bands, got {len(self.mean)}")

    @property
    def in_channels(self) -> int:
        """Bands of an image."""
        return len(self.mean)

    def normalise(self, images: Tensor) -> Tensor:
        """Normalise raw images in RGB order.

        Shape:
            (..., C, H, W) raw values -> the same shape, float32.
        """
        if images.shape[-3] != self.in_channels:
            raise LookwiderError(
                f"got an image of {images.shape[-3]} bands, expected {self.in_channels}; "
                f"create the model with in_channels={images.shape[-3]}"
            )
        images = images.to(torch.float32)
        if self.order == "bgr":
            images = images.flip(-3)
        mean = torch.tensor(self.mean, device=images.device)[:, None, None]
        std = torch.tensor(self.std, device=images.device)[:, None, None]
        return (images / self.scale - mean) / std

    def __call__(self, image: npt.NDArray[np.generic]) -> Tensor:
        """Turn an (H, W, C) image array in RGB order into a (C, H, W) float32 tensor."""
        if image.ndim != 3:
            raise LookwiderError(f"got an image of shape {image.shape}, expected (H, W, C)")
        values = image.astype(np.float32) if image.dtype == np.uint16 else image
        # A copy, since Pillow's pixels are read-only and PyTorch warns of such.
        return self.normalise(torch.from_numpy(np.array(values.transpose(2, 0, 1), order="C")))

    def fill_value(self) -> tuple[float, ...]:
        """The raw value per band, in RGB order, that normalises to zero: the mean colour."""
        mean = tuple(m * self.scale for m in self.mean)
        return mean[::-1] if self.order == "bgr" else mean


IMAGENET = Preprocessing(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""As torchvision's and most of timm's ImageNet weights want it."""

CAFFE_VOC = Preprocessing(
    mean=(104.00699, 116.66877, 122.67892), std=(1.0, 1.0, 1.0), scale=1.0, order="bgr"
)
"""As the released VOC nets of FCN and ParseNet want it: BGR 0..255 minus the mean."""


def default_preprocessing(in_channels: int) -> Preprocessing:
    """Return ImageNet's statistics for RGB, and mean 0.5, std 0.25 of 0..1 for other bands."""
    if in_channels == 3:
        return IMAGENET
    return Preprocessing(mean=(0.5,) * in_channels, std=(0.25,) * in_channels)
