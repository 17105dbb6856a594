"""Convolutions of training whose gradients are computed in the fastest form, on processors.

oneDNN computes forward passes and gradients with respect to maps near the speed of matrix
products, but gradients of weights at half of it. In channels-last memory a map is a matrix of
cells by channels without any copy, and so:

* a 1 x 1 convolution is one matrix product, and so are both of its gradients;
* of a larger window, the gradient of each tap's weights is the product of the output's gradient
  and the map, as seen through that tap: with both padded to one width, that is the same two
  matrices, moved by a few rows;
* or it is taken of a few input channels at a time, which suits the tiles of AMX in bfloat16.

Sums are added up in another order, so results differ from the plain form in rounding. Used where
measurements favour it, see `benchmarks/training_step.py`; everything else is left to PyTorch.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from lookwider.kernels.switches import enabled
from lookwider.layers.deferred import is_unobserved
from lookwider.layers.modes import computed_in, full_precision

Pair = tuple[int, int]

POINTWISE_WEIGHTS = 2**15
"""Weights from which a 1 x 1 convolution is computed as a matrix product: 128 x 256 gain, 64 x 256
lose."""

WIDE = {torch.float32: 2048, torch.bfloat16: 1024}
"""Input channels from which the gradient of a larger window's weights has an own form."""

CHUNK = 512
"""Input channels that are taken at a time in bfloat16."""


def trained_conv2d(
    maps: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """Return `torch.nn.functional.conv2d`, whose gradients may be computed in another form.

    Shape:
        (N, C, h, w), (O, C, kh, kw), (O) -> (N, O, h', w').

    Example:
        >>> maps = torch.ones(1, 2, 4, 4)
        >>> tuple(trained_conv2d(maps, torch.ones(3, 2, 3, 3), padding=1).shape)
        (1, 3, 4, 4)
    """
    moves = not isinstance(padding, str) and groups == 1 and _pair(stride) == (1, 1)
    fits = maps.dim() == weight.dim() == 4 and maps.shape[1] == weight.shape[1]
    if moves and fits and _gradients_wanted(maps, weight) and enabled("training"):
        assert not isinstance(padding, str)
        padding, dilation = _pair(padding), _pair(dilation)
        kernel = (int(weight.shape[2]), int(weight.shape[3]))
        if kernel == (1, 1):
            if padding == (0, 0) and weight.numel() >= POINTWISE_WEIGHTS:
                cells = functional.linear(maps.permute(0, 2, 3, 1), weight.flatten(1), bias)
                return cells.permute(0, 3, 1, 2)
        elif _own_form(computed_in(maps), int(weight.shape[1])):
            return _wide(maps, weight, bias, padding, dilation)
    return functional.conv2d(maps, weight, bias, stride, padding, dilation, groups)


@contextmanager
def trained_convolutions(model: nn.Module) -> Iterator[None]:
    """Let a model's convolutions be `trained_conv2d` for a while.

    Names, weights and hooks stay. Only layers that could gain by it are touched, and of those the
    ones that a subclass or an instance computes in its own way are not.

    Args:
        model: any network.
    """
    touched = [
        module
        for module in model.modules()
        if isinstance(module, nn.Conv2d)
        and type(module)._conv_forward is nn.Conv2d._conv_forward
        and "_conv_forward" not in vars(module)
        and module.padding_mode == "zeros"
        and module.groups == 1
        and module.weight.numel() >= POINTWISE_WEIGHTS
    ]
    for module in touched:
        # of the instance, not of its class; a copy of the model gets its own
        vars(module)["_conv_forward"] = functools.partial(_conv_forward, module)
    try:
        yield
    finally:
        for module in touched:
            vars(module).pop("_conv_forward", None)


def weight_gradient(
    maps: Tensor, gradient: Tensor, kernel: Pair, padding: Pair, dilation: Pair
) -> Tensor:
    """Return the gradient of a convolution's weights, a matrix product for every tap.

    The map is padded, and the output's gradient is given as many columns of zeros as the padded
    map has more. Row r of the one, seen as a matrix of cells by channels, then meets row
    ``r + dy * columns + dx`` of the other for the tap (dy, dx), and zeros where a line would wrap.

    Args:
        maps: what was convolved, by a window that moves by one cell.
        gradient: of what came out.
        kernel: rows and columns of the window.
        padding: rows and columns of zeros around the map.
        dilation: cells from one tap to the next.

    Shape:
        (N, C, h, w), (N, O, h', w') -> (O, C, kh, kw), channels-last.
    """
    channels, outputs = int(maps.shape[1]), int(gradient.shape[1])
    found = maps.new_zeros(outputs, *kernel, channels)
    columns = int(maps.shape[3]) + 2 * padding[1]
    wider = columns - int(gradient.shape[3])
    margin = (0, 0, padding[1], padding[1], padding[0], padding[0])
    for one, its_gradient in zip(maps, gradient, strict=True):  # one padded copy at a time
        cells = functional.pad(one.permute(1, 2, 0), margin).reshape(-1, channels)
        outer = functional.pad(its_gradient.permute(1, 2, 0), (0, 0, 0, wider))
        outer = outer.reshape(-1, outputs)
        rows = outer.shape[0] - wider  # after the last cell come zeros only
        for dy in range(kernel[0]):
            for dx in range(kernel[1]):
                start = dy * dilation[0] * columns + dx * dilation[1]
                found[:, dy, dx].addmm_(outer[:rows].T, cells[start : start + rows])
    return found.permute(0, 3, 1, 2)


def weight_gradient_by_channels(
    maps: Tensor, gradient: Tensor, weight: Tensor, padding: Pair, dilation: Pair, chunk: int
) -> Tensor:
    """Return the gradient of a convolution's weights, of so many input channels at a time.

    Shape:
        (N, C, h, w), (N, O, h', w'), (O, C, kh, kw) -> (O, C, kh, kw).
    """
    parts = []
    for first in range(0, int(maps.shape[1]), chunk):
        some = maps[:, first : first + chunk].contiguous(memory_format=torch.channels_last)
        its = weight[:, first : first + chunk]
        parts.append(_backward(some, its, gradient, padding, dilation, (False, True))[1])
    return torch.cat([cast(Tensor, part) for part in parts], dim=1)


class _WideConvolution(torch.autograd.Function):
    """A convolution of many channels, whose weights' gradient has an own form."""

    @staticmethod
    def forward(
        ctx: Any, maps: Tensor, weight: Tensor, bias: Tensor | None, padding: Pair, dilation: Pair
    ) -> Tensor:
        ctx.save_for_backward(maps, weight)
        ctx.padding, ctx.dilation = padding, dilation
        return functional.conv2d(maps, weight, bias, 1, padding, dilation)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (maps, weight), (gradient,) = ctx.saved_tensors, gradients
        padding, dilation = ctx.padding, ctx.dilation
        wants_maps, wants_weight, wants_bias = ctx.needs_input_grad[:3]
        of_bias = gradient.sum((0, 2, 3)) if wants_bias else None
        if torch.is_grad_enabled():  # of a gradient a gradient: PyTorch's form knows its own
            of_maps, of_weight = _backward(
                maps, weight, gradient, padding, dilation, (wants_maps, wants_weight)
            )
            return of_maps, of_weight, of_bias, None, None
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        of_maps, of_weight = _backward(
            maps, weight, gradient, padding, dilation, (wants_maps, False)
        )
        if wants_weight and maps.dtype == torch.bfloat16:
            of_weight = weight_gradient_by_channels(
                maps, gradient, weight, padding, dilation, CHUNK
            )
        elif wants_weight:
            kernel = (int(weight.shape[2]), int(weight.shape[3]))
            of_weight = weight_gradient(maps, gradient, kernel, padding, dilation)
        return of_maps, of_weight, of_bias, None, None


def _wide(
    maps: Tensor, weight: Tensor, bias: Tensor | None, padding: Pair, dilation: Pair
) -> Tensor:
    # as autocast would, which a Function does not see
    maps, weight = maps.to(computed_in(maps)), weight.to(computed_in(weight))
    bias = None if bias is None else bias.to(computed_in(bias))
    with full_precision(maps.device):
        return cast(Tensor, _WideConvolution.apply(maps, weight, bias, padding, dilation))


def _backward(
    maps: Tensor,
    weight: Tensor,
    gradient: Tensor,
    padding: Pair,
    dilation: Pair,
    wanted: tuple[bool, bool],
) -> tuple[Tensor | None, Tensor | None]:
    """Return PyTorch's gradients of the map and of the weights, those wanted."""
    if not any(wanted):
        return None, None
    of_maps, of_weight, _ = torch.ops.aten.convolution_backward(
        gradient, maps, weight, None, [1, 1], padding, dilation, False, [0, 0], 1,
        [*wanted, False],
    )  # fmt: skip
    return of_maps, of_weight


def _gradients_wanted(maps: Tensor, weight: Tensor) -> bool:
    """Whether gradients will be computed, on a processor, in channels-last memory."""
    return (
        torch.is_grad_enabled()
        and is_unobserved(maps)  # first: a deferred map computes itself
        and (maps.requires_grad or weight.requires_grad)
        and maps.device.type == "cpu"
        and maps.is_contiguous(memory_format=torch.channels_last)
    )


def _own_form(dtype: torch.dtype, channels: int) -> bool:
    if dtype == torch.bfloat16 and not torch.cpu._is_amx_tile_supported():
        return False
    return channels >= WIDE.get(dtype, channels + 1)


def _conv_forward(module: nn.Conv2d, maps: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return trained_conv2d(
        maps, weight, bias, module.stride, module.padding, module.dilation, module.groups
    )


def _pair(value: int | Sequence[int]) -> Pair:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[-1]))
