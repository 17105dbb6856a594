"""Rotation of a sample, and of a window of it alone: what is cut away is not computed.

PSPNet's training (section 5.1) rotates images of up to twice their size and keeps a crop of them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import grid_sample
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from lookwider.classes import IGNORE_INDEX
from lookwider.data.sample import Sample
from lookwider.data.warping import Fill, Size, change_tensors, check_bands, crop, overlap


def rotate(sample: Sample, degrees: float, fill: Fill) -> Sample:
    """Rotate counter-clockwise about the centre, keeping the size.

    Args:
        sample: the sample.
        degrees: the angle.
        fill: per band, for the corners that come from outside; labels get ignore there.
    """
    check_bands(fill, sample)
    return change_tensors(
        sample,
        lambda image: functional.rotate(
            image, degrees, interpolation=InterpolationMode.BILINEAR, fill=list(fill)
        ),
        lambda label: functional.rotate(label, degrees, fill=float(IGNORE_INDEX)),
    )


def rotated_crop(
    sample: Sample, degrees: float, top: int, left: int, size: Size, fill: Fill
) -> Sample:
    """Cut a window out of the rotated sample: `crop` of `rotate`, of which only it is computed.

    Args:
        sample: the sample.
        degrees: the angle, counter-clockwise about the centre of the image.
        top: first row of the window; negative begins above the image.
        left: first column.
        size: (height, width) of the window.
        fill: per band, for what comes from outside; labels get ignore there.
    """
    check_bands(fill, sample)
    height, width = sample.image.shape[:2]
    rows, cols = overlap(top, size[0], height), overlap(left, size[1], width)
    if degrees % 90 == 0 or rows.start == rows.stop or cols.start == cols.stop:
        return crop(rotate(sample, degrees, fill), top, left, size, fill)
    places = _places(degrees, (height, width), rows, cols)
    seen = change_tensors(
        sample,
        lambda image: _sampled(image, places, fill, "bilinear"),
        lambda label: _sampled(label, places, (float(IGNORE_INDEX),), "nearest"),
    )
    return crop(seen, top - rows.start, left - cols.start, size, fill)


def _places(degrees: float, size: Size, rows: slice, cols: slice) -> Tensor:
    """Return where the pixels of a window of the rotated image come from, from -1 to 1.

    The places of all pixels cost little, and computed at once, in the steps of
    `torchvision.transforms.v2.functional.rotate`, they are the same to the last bit.

    Shape:
        (1, h, w, 2).
    """
    height, width = size
    angle = math.radians(degrees)
    cosine, sine = math.cos(angle), math.sin(angle)
    turn = torch.tensor([[cosine, -sine, 0.0], [sine, cosine, 0.0]])[None].transpose(1, 2)
    turn.div_(torch.tensor([0.5 * width, 0.5 * height]))
    pixels = torch.ones(1, height, width, 3)
    pixels[..., 0] = torch.arange(width) - (width - 1) / 2
    pixels[..., 1] = (torch.arange(height) - (height - 1) / 2)[:, None]
    places = pixels.view(1, -1, 3).bmm(turn).view(1, height, width, 2)
    return places[:, rows, cols].contiguous()


def _sampled(image: Tensor, places: Tensor, fill: Fill, mode: str) -> Tensor:
    """Return the pixels at these places, mixed with fill at the border of the image.

    Shape:
        (C, H, W), (1, h, w, 2) -> (C, h, w).
    """
    inside = torch.ones(1, 1, *image.shape[-2:])
    values = torch.cat((image[None].to(torch.float32), inside), dim=1)
    values = grid_sample(values, places, mode=mode, padding_mode="zeros", align_corners=False)
    values, share = values[:, :-1], values[:, -1:]
    outside = torch.tensor(fill).view(1, -1, 1, 1)
    if mode == "nearest":
        values = torch.where(share < 0.5, outside, values)
    else:
        values = (values - outside) * share + outside
    whole = not image.is_floating_point()
    return (values.round() if whole else values)[0].to(image.dtype)
