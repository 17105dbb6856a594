"""How large an image becomes at a scale, and the resizing itself."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

ResizeRule = Literal["matlab", "opencv"]
"""``"matlab"``: as imresize, antialiased when shrinking. ``"opencv"``: two taps also then."""


def resized_size(
    size: tuple[int, int],
    scale: float,
    base_size: int | None = None,
    extra: int = 0,
    rule: ResizeRule = "matlab",
) -> tuple[int, int]:
    """Return the (height, width) of an image at a scale; the shape is kept.

    The longer side becomes ``base_size * scale + extra``, the shorter follows. As in the released
    PSPNet test, where the shorter side is computed in single precision and halves round up;
    under ``"opencv"``, as in its PyTorch release, in double precision and halves to even.

    Args:
        size: (height, width) of the image.
        scale: a factor.
        base_size: longer side at scale 1; the image's own when None.
        extra: pixels more on the longer side.
        rule: how sizes are rounded.

    Example:
        >>> resized_size((512, 683), 1.5, base_size=512, extra=1)
        (576, 769)
    """
    longer, shorter = max(size), min(size)
    target = scale * (longer if base_size is None else base_size)
    if rule == "opencv":
        long_side = max(1, round(target) + extra)
        short_side = max(1, round(long_side / longer * shorter))
    else:
        long_side = max(1, math.floor(target + 0.5) + extra)
        exact = np.float32(long_side) / np.float32(longer) * np.float32(shorter)
        short_side = max(1, math.floor(float(exact) + 0.5))
    return (long_side, short_side) if size[0] > size[1] else (short_side, long_side)


def resize(
    maps: Tensor,
    size: tuple[int, int],
    rule: ResizeRule = "matlab",
    *,
    whole_numbers: bool = False,
) -> Tensor:
    """Resize maps bilinearly (half-pixel), to a size.

    ``"matlab"`` gives imresize's values: the axis that shrinks more goes first, and whole numbers
    are rounded after each axis.

    Args:
        maps: floating point.
        size: the new (height, width).
        rule: see `ResizeRule`.
        whole_numbers: whether these are pixels of an integer type, which ``"matlab"`` keeps whole.

    Shape:
        (C, h, w) -> (C, H, W).
    """
    factors = {axis: size[axis] / maps.shape[axis] for axis in (-2, -1)}
    for axis in sorted(factors, key=lambda axis: factors[axis]):
        if factors[axis] == 1:
            continue
        if factors[axis] < 1 and rule == "matlab":
            maps = shrink(maps, axis, size[axis])
        else:
            new = (size[-2], maps.shape[-1]) if axis == -2 else (maps.shape[-2], size[-1])
            maps = functional.interpolate(maps[None], new, mode="bilinear")[0]
        if whole_numbers and rule == "matlab":
            maps = torch.floor(maps + 0.5)
    return maps


def shrink(maps: Tensor, axis: int, size: int) -> Tensor:
    """Shrink one of the last two axes with a triangle as wide as two new places.

    PyTorch's own antialiased interpolation is not used: it leaves out what imresize mirrors at
    the border, and on CPUs its values are wrong where the new width is 1 (in PyTorch 2.15.0).

    Shape:
        (C, h, w) -> the same but for ``axis``, which becomes ``size`` long.
    """
    if axis == -1:  # whole rows are gathered several times faster than single columns
        return shrink(maps.mT.contiguous(), -2, size).mT
    places, weights = triangle_taps(maps.shape[-2], size)
    places, weights = places.to(maps.device), weights.to(maps.device, maps.dtype)
    total = maps.index_select(-2, places[:, 0]) * weights[:, 0, None]
    for tap in range(1, places.shape[1]):
        total.addcmul_(maps.index_select(-2, places[:, tap]), weights[:, tap, None])
    return total


def triangle_taps(length: int, size: int) -> tuple[Tensor, Tensor]:
    """Return which places of an axis each place of the shorter one is a mean of.

    The axis is mirrored beyond its border, as imresize does.

    Returns:
        The places, int64, and their weights, float64, both (size, taps).

    Example:
        >>> places, weights = triangle_taps(4, 2)
        >>> places.tolist()
        [[0, 0, 1, 2], [1, 2, 3, 3]]
        >>> weights.tolist()
        [[0.125, 0.375, 0.375, 0.125], [0.125, 0.375, 0.375, 0.125]]
    """
    factor = size / length
    centres = ((torch.arange(size, dtype=torch.float64) + 0.5) / factor - 0.5)[:, None]
    first = torch.floor(centres - 1 / factor)
    places = first + torch.arange(math.ceil(2 / factor) + 2)
    weights = (1 - factor * (places - centres).abs()).clamp(min=0)
    mirrored = places % (2 * length)
    mirrored = torch.minimum(mirrored, 2 * length - 1 - mirrored)
    used = (weights > 0).any(0)
    return mirrored[:, used].long(), (weights / weights.sum(1, keepdim=True))[:, used]
