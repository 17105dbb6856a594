"""Convolutions by PyTorch's mkldnn operators, which add and rectify before they write.

The operators are private, those that PyTorch's own compiler uses. Where they are missing, changed
or switched off, `mkldnn_enabled` is false, and a plain convolution gives the same values.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional

from lookwider.kernels.switches import enabled
from lookwider.layers.deferred import Window


def mkldnn_enabled(dtype: torch.dtype) -> bool:
    """Whether the operators are there for this dtype, right in a small test, and switched on."""
    return enabled("mkldnn") and _works(dtype)


def packed_weight(weight: Tensor, window: Window, groups: int, shape: Sequence[int]) -> Tensor:
    """Return weights in the order that is fastest for maps of a shape, right for all.

    Shape:
        (O, C / groups, kh, kw), for maps (N, C, h, w) -> the same shape, opaque.
    """
    reorder = cast(Any, torch._C)._nn.mkldnn_reorder_conv2d_weight
    packed: Tensor = reorder(
        weight.detach().to_mkldnn(),
        list(window.padding),
        list(window.stride),
        list(window.dilation),
        groups,
        list(shape),
    )
    return packed


def fused_convolution(
    maps: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    window: Window,
    groups: int = 1,
    *,
    add: Tensor | None = None,
    relu: bool = False,
) -> Tensor:
    """Return ``relu(convolution + add)``, without gradients.

    Args:
        maps: channels-last, on the CPU.
        weight: as it is, or from `packed_weight`.
        bias: (O,).
        window: of the convolution.
        groups: of the convolution.
        add: a map of the result's shape.
        relu: rectify the result.

    Shape:
        (N, C, h, w) -> (N, O, h', w'), channels-last.
    """
    moves = [list(window.padding), list(window.stride), list(window.dilation), groups]
    pointwise = torch.ops.mkldnn._convolution_pointwise
    found: Tensor
    if add is None:
        found = pointwise(maps, weight, bias, *moves, "relu" if relu else "none", [], "")
    else:
        rectify = "relu" if relu else None
        found = pointwise.binary(maps, add, weight, bias, *moves, "add", 1.0, rectify, [], None)
    return found


@functools.cache
def _works(dtype: torch.dtype) -> bool:
    """Compare the operators with a plain convolution once."""
    if dtype not in (torch.float32, torch.bfloat16) or not torch._C._has_mkldnn:
        return False
    layout = torch.channels_last
    maps = torch.linspace(-1, 1, 2 * 3 * 5 * 4).view(2, 3, 5, 4).to(dtype, memory_format=layout)
    weight = torch.linspace(-1, 1, 4 * 3 * 9).sin().view(4, 3, 3, 3).to(dtype)
    bias = torch.linspace(-1, 1, 4).to(dtype)
    window = Window((3, 3), padding=(2, 2), dilation=(2, 2))
    plain = functional.conv2d(maps, weight, bias, padding=2, dilation=2)
    try:
        packed = packed_weight(weight, window, 1, maps.shape)
        one = fused_convolution(maps, packed, bias, window, relu=True)
        both = fused_convolution(maps, weight, bias, window, add=plain, relu=True)
    except (AttributeError, RuntimeError, TypeError, NotImplementedError):  # another PyTorch's
        return False
    near = 1e-5 if dtype == torch.float32 else 5e-2
    return torch.allclose(one, plain.relu(), near, near) and torch.allclose(
        both, (2 * plain).relu(), near, near
    )
