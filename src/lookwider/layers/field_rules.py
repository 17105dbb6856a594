"""How the receptive field of a tensor follows from the function that made it and its arguments."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from lookwider.layers.grids import Grid


@dataclass(frozen=True)
class Field:
    """What a cell sees along one axis.

    Attributes:
        size: pixels of the receptive field, padding counted as pixels; infinite after a global
            operation.
        stride: pixels between the centres of neighbouring cells.
        offset: the first cell's centre, in pixels.
    """

    size: float = 1
    stride: float = 1
    offset: float = 0

    @property
    def grid(self) -> Grid:
        """Where the cells lie."""
        return Grid(self.stride, self.offset)

    def window(self, kernel: int, stride: int, padding: float, dilation: int) -> Field:
        """Return the field after a convolution or pooling window."""
        reach = (kernel - 1) * dilation
        return Field(
            self.size + reach * self.stride,
            self.stride * stride,
            self.offset + (reach / 2 - padding) * self.stride,
        )

    def deconvolved(self, kernel: int, stride: int, padding: int, dilation: int) -> Field:
        """Return the field after a transposed convolution."""
        reach = (kernel - 1) * dilation
        fine = self.stride / stride
        cells = math.ceil((reach + 1) / stride) - 1
        return Field(
            self.size + cells * self.stride, fine, self.offset + (padding - reach / 2) * fine
        )


Fields = tuple[Field, Field]
"""The fields of rows and of columns."""


_CONVOLUTIONS = {torch.conv2d}
_POOLS = {torch.max_pool2d, functional.max_pool2d, functional.avg_pool2d, torch._C._nn.avg_pool2d}
_GLOBAL = {
    functional.adaptive_avg_pool2d,
    functional.adaptive_max_pool2d,
    functional.scaled_dot_product_attention,
    torch.matmul,
    torch.bmm,
    Tensor.matmul,
    Tensor.__matmul__,
    Tensor.mean,
    torch.mean,
    Tensor.sum,
    torch.sum,
    Tensor.amax,
    torch.amax,
}


def is_window(func: Callable[..., Any]) -> bool:
    """Whether a function is a convolution or pooling."""
    return func in _CONVOLUTIONS or func in _POOLS


def fields_after(
    func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], known: list[Fields]
) -> Fields:
    """Return the fields of a function's result from those of its arguments."""
    fields = _merged(known)
    if func in _CONVOLUTIONS:
        return _convolved(fields, args, kwargs)
    if func in _POOLS:
        return _pooled(fields, args, kwargs)
    if func is torch.conv_transpose2d:
        return _deconvolved(fields, args, kwargs)
    if func is functional.interpolate:
        return _interpolated(fields, args, kwargs)
    if func in (functional.pad, torch._C._nn.pad):
        return _padded(fields, args, kwargs)
    if func is Tensor.__getitem__:
        return _sliced(fields, args)
    if func in _GLOBAL:
        rows, cols = fields
        return replace(rows, size=math.inf), replace(cols, size=math.inf)
    return fields


def _merged(known: list[Fields]) -> Fields:
    """Return the fields of maps that were added or concatenated: the widest."""

    def widest(fields: list[Field]) -> Field:
        return replace(fields[0], size=max(field.size for field in fields))

    return widest([rows for rows, _ in known]), widest([cols for _, cols in known])


def _convolved(fields: Fields, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Fields:
    values = dict(
        zip(("input", "weight", "bias", "stride", "padding", "dilation"), args, strict=False)
    )
    values.update(kwargs)
    kernel = values["weight"].shape[-2:]
    stride, dilation = _pair(values.get("stride", 1)), _pair(values.get("dilation", 1))
    padding = values.get("padding", 0)
    if padding == "same":  # PyTorch puts the smaller half first
        padding = [((k - 1) * d) // 2 for k, d in zip(kernel, dilation, strict=True)]
    padding = (0, 0) if padding == "valid" else _pair(padding)
    return _pairwise(Field.window, fields, kernel, stride, padding, dilation)


def _pooled(fields: Fields, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Fields:
    values = dict(
        zip(("input", "kernel_size", "stride", "padding", "dilation"), args, strict=False)
    )
    values.update(kwargs)
    kernel = _pair(values["kernel_size"])
    stride = _pair(values.get("stride") or kernel)
    dilation = values.get("dilation", 1)
    dilation = (1, 1) if isinstance(dilation, bool) else _pair(dilation)  # averages: ceil_mode
    return _pairwise(
        Field.window, fields, kernel, stride, _pair(values.get("padding", 0)), dilation
    )


def _deconvolved(fields: Fields, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Fields:
    order = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
    values = {**dict(zip(order, args, strict=False)), **kwargs}
    return _pairwise(
        Field.deconvolved,
        fields,
        values["weight"].shape[-2:],
        _pair(values.get("stride", 1)),
        _pair(values.get("padding", 0)),
        _pair(values.get("dilation", 1)),
    )


def _interpolated(fields: Fields, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Fields:
    order = ("input", "size", "scale_factor", "mode", "align_corners")
    values = {**dict(zip(order, args, strict=False)), **kwargs}
    before = values["input"].shape[-2:]
    size, scale = values.get("size"), _pair(values.get("scale_factor"))
    after = (
        [int(n * s) for n, s in zip(before, scale, strict=True)] if size is None else _pair(size)
    )

    def resized(field: Field, n: int, m: int) -> Field:
        if values.get("align_corners"):
            step = (n - 1) / (m - 1) if m > 1 else 1.0
            return Field(field.size + field.stride, field.stride * step, field.offset)
        step = n / m
        first = field.offset + field.stride * (step / 2 - 0.5)
        return Field(field.size + field.stride, field.stride * step, first)

    return _pairwise(resized, fields, before, after)


def _padded(fields: Fields, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Fields:
    pad = list(kwargs.get("pad", args[1] if len(args) > 1 else ()))
    left, top = (pad + [0] * 4)[0], (pad + [0] * 4)[2]
    rows, cols = fields
    return (
        replace(rows, offset=rows.offset - top * rows.stride),
        replace(cols, offset=cols.offset - left * cols.stride),
    )


def _sliced(fields: Fields, args: Sequence[Any]) -> Fields:
    """Return the fields after a crop ``maps[:, :, top:..., left:...]``."""
    index = args[1] if isinstance(args[1], tuple) else (args[1],)
    starts = [0, 0]
    if args[0].dim() == 4:
        if Ellipsis in index:
            gap = index.index(Ellipsis)
            index = index[:gap] + (slice(None),) * (5 - len(index)) + index[gap + 1 :]
        for axis, part in enumerate(index[2:4]):
            if isinstance(part, slice) and part.start:
                starts[axis] = part.indices(args[0].shape[axis + 2])[0]
    rows, cols = fields
    return (
        replace(rows, offset=rows.offset + starts[0] * rows.stride),
        replace(cols, offset=cols.offset + starts[1] * cols.stride),
    )


def _pairwise(step: Callable[..., Field], fields: Fields, *pairs: Sequence[Any]) -> Fields:
    rows, cols = (step(field, *numbers) for field, *numbers in zip(fields, *pairs, strict=True))
    return rows, cols


def _pair(value: Any) -> tuple[Any, Any]:
    if isinstance(value, Sequence):
        return (value[0], value[0]) if len(value) == 1 else (value[0], value[1])
    return value, value
