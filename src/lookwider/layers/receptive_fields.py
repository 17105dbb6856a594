"""Theoretical receptive fields of any layer of any module, traced through what it executes.

Size and stride follow the rule of FCN (Long et al. 2015, section 3.1): layers compose as
``size + (kernel - 1) * stride`` and ``stride * stride``. The place of the first cell composes
alike, and from it follow all crops.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

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


@dataclass(frozen=True)
class TracedLayer:
    """One layer's output.

    Attributes:
        shape: (N, C, h, w) at the traced image size.
        rows: what a cell sees from top to bottom.
        cols: what a cell sees from left to right.
    """

    shape: tuple[int, ...]
    rows: Field
    cols: Field


def trace_fields(
    module: nn.Module, in_channels: int = 3, size: tuple[int, int] = (512, 512)
) -> dict[str, TracedLayer]:
    """Return the receptive fields of every submodule's output, by its name; "" is the module's.

    The module is executed on tensors without data, so this costs neither time nor memory. Modules
    that return several maps are listed as ``name[0]``, ``name[1]``, ...; those whose output is no
    map of the image are left out.

    Args:
        module: any module that maps (N, C, H, W) images to maps.
        in_channels: bands of the image.
        size: (height, width) of the image to trace; any that the module accepts.
    """
    found: dict[str, TracedLayer] = {}
    tracer = _Tracer()

    def record(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            for suffix, tensor in _named_tensors(output):
                fields = tracer.fields.get(tensor)
                if fields is not None and all(math.isfinite(field.stride) for field in fields):
                    found[name + suffix] = TracedLayer(tuple(tensor.shape), *fields)

        return hook

    handles = [m.register_forward_hook(record(name)) for name, m in module.named_modules()]
    try:
        with _evaluating(module), torch.no_grad(), tracer:
            state = {**dict(module.named_parameters()), **dict(module.named_buffers())}
            dtype = next((t.dtype for t in state.values() if t.is_floating_point()), None)
            image = torch.empty(1, in_channels, *size, device="meta", dtype=dtype)
            tracer.fields[image] = (Field(), Field())
            shapes = {name: torch.empty_like(t, device="meta") for name, t in state.items()}
            functional_call(module, shapes, (image,))
    finally:
        for handle in handles:
            handle.remove()
    return found


class _Tracer(TorchFunctionMode):
    """Carries the fields of each tensor through the functions that are called on it."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: Any = WeakTensorKeyDictionary()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        known = [self.fields[t] for t in _tensors([args, kwargs]) if t in self.fields]
        if known:
            fields = _after(func, args, kwargs, known)
            for tensor in _tensors(result):
                if tensor not in self.fields or _is_window(func):
                    self.fields[tensor] = fields
        return result


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


def _is_window(func: Callable[..., Any]) -> bool:
    return func in _CONVOLUTIONS or func in _POOLS


def _after(
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


def _tensors(values: Any) -> Iterator[Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, Mapping):
        for value in values.values():
            yield from _tensors(value)
    elif isinstance(values, (list, tuple)):
        for value in values:
            yield from _tensors(value)


def _named_tensors(output: Any) -> Iterator[tuple[str, Tensor]]:
    if isinstance(output, Tensor):
        yield "", output
    elif isinstance(output, Mapping):
        yield from (
            (f"[{key}]", value) for key, value in output.items() if isinstance(value, Tensor)
        )
    elif isinstance(output, (list, tuple)):
        yield from (
            (f"[{i}]", value) for i, value in enumerate(output) if isinstance(value, Tensor)
        )


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode, and every part of it back afterwards."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode
