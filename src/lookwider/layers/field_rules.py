"""How what a tensor sees follows from the function that made it and its arguments.

A function without a rule is taken to work place by place when its result has the places of its
arguments, unless it is known to mix them; otherwise every cell of the result is taken to see what
any cell of them saw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from lookwider.layers.field_axes import Axis, both, chained
from lookwider.layers.field_mixing import mixes_places
from lookwider.layers.field_resampling import interpolated, padded, pixel_shuffled, resampled
from lookwider.layers.field_seen import Rule, Seen, united
from lookwider.layers.field_shapes import SHAPE_RULES
from lookwider.layers.region_sums import region_bounds, region_maxima, region_sums
from lookwider.layers.taps import resample


def tensors_in(values: Any) -> Iterator[Tensor]:
    """Yield the tensors among values, those in lists and mappings too."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, Mapping):
        for value in values.values():
            yield from tensors_in(value)
    elif isinstance(values, (list, tuple)):
        for value in values:
            yield from tensors_in(value)


def sources(
    func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Iterator[Tensor]:
    """Yield the tensors whose values a function's result depends on."""
    if func in _SHAPED_LIKE:
        return
    yield from tensors_in(args[:1] if func in _CONVERSIONS else [args, kwargs])


def seen_after(
    func: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    known: Sequence[Seen],
    result: Tensor,
) -> Seen:
    """Return what a function's result sees, from what its arguments see."""
    if func in _CHAINS:
        return _concatenated(args, kwargs, known, result)
    seen = united(known)
    if func in SHAPE_RULES and seen.dims is not None:
        names, rule = SHAPE_RULES[func]
        named = {**dict(zip(names, args, strict=False)), **kwargs}
        return rule(seen, {**named, "positional": args[1:], "named": kwargs}, result)
    if func in _RULES and seen.dims in {(-2, -1), (-1, -2)}:
        names, rule = _RULES[func]
        named = {**dict(zip(names, args, strict=False)), **kwargs}
        if seen.dims == (-2, -1):
            return rule(seen, named, result)
        return rule(seen.transposed(), named, result).transposed()
    if mixes_places(func) or func in _RULES or func in SHAPE_RULES:
        return seen.blurred(result.shape)
    return seen.same(result)


def _concatenated(
    args: Sequence[Any], kwargs: Mapping[str, Any], known: Sequence[Seen], result: Tensor
) -> Seen:
    """Join along the channels, or put end to end along an axis of places."""
    values = {**dict(zip(("tensors", "dim"), args, strict=False)), **kwargs}
    dim = values.get("dim", 0)
    dim = dim - result.dim() if dim >= 0 else dim
    seen = united(known)
    if seen.dims is None or dim not in seen.dims:
        return seen.same(result)
    along = seen.dims.index(dim)
    if len(known) < len(values["tensors"]) or any(part.dims != seen.dims for part in known):
        return seen.blurred(result.shape)
    axes = list(seen.axes)
    axes[along] = chained([part.axes[along] for part in known])
    return seen.with_axes(axes[0], axes[1])


def _window(seen: Seen, values: dict[str, Any], result: Tensor) -> Seen:
    if "weight" in values:
        kernel = tuple(values["weight"].shape[-2:])
        stride = _pair(values.get("stride", 1))
    else:
        kernel = _pair(values["kernel_size"])
        stride = _pair(values.get("stride") or kernel)
    dilation, padding = _pair(values.get("dilation", 1)), values.get("padding", 0)
    if padding == "same":  # PyTorch puts the smaller half first
        padding = [((k - 1) * d) // 2 for k, d in zip(kernel, dilation, strict=True)]
    padding = (0, 0) if padding == "valid" else _pair(padding)
    size = result.shape[-2:]
    return seen.with_axes(*both(Axis.windowed, seen.axes, size, kernel, stride, padding, dilation))


def _deconvolution(seen: Seen, values: dict[str, Any], result: Tensor) -> Seen:
    settings = [
        _pair(values.get(name, default))
        for name, default in (("stride", 1), ("padding", 0), ("dilation", 1))
    ]
    kernel = values["weight"].shape[-2:]
    return seen.with_axes(*both(Axis.deconvolved, seen.axes, result.shape[-2:], kernel, *settings))


def _adaptive(seen: Seen, values: dict[str, Any], result: Tensor) -> Seen:
    return seen.with_axes(*both(Axis.averaged, seen.axes, result.shape[-2:]))


def _regions(seen: Seen, values: dict[str, Any], result: Tensor) -> Seen:
    """Follow sums over the regions of a whole map or of a tile of it."""
    place = values["place"]
    wholes, firsts = (place.height, place.width), (place.top, place.left)
    bounds = [
        [(max(a - first, 0), max(b - first, 0)) for a, b in region_bounds(whole, count)]
        for first, whole, count in zip(firsts, wholes, result.shape[-2:], strict=True)
    ]
    steps = [whole / count for whole, count in zip(wholes, result.shape[-2:], strict=True)]
    return seen.with_axes(*both(Axis.pooled, seen.axes, bounds, steps))


def _interpolation(seen: Seen, values: dict[str, Any], result: Tensor) -> Seen:
    scale = _pair(values.get("scale_factor"))
    if values.get("size") is not None or values.get("recompute_scale_factor"):
        scale = (None, None)
    how = (values.get("mode", "nearest"), values.get("align_corners"), values.get("antialias"))
    rows, cols = (
        interpolated(axis, length, factor, *how)
        for axis, length, factor in zip(seen.axes, result.shape[-2:], scale, strict=True)
    )
    return seen.with_axes(rows, cols)


def _taps(seen: Seen, values: dict[str, Any], result: Tensor) -> Seen:
    return seen.with_axes(
        resampled(seen.rows, values["rows"]), resampled(seen.cols, values["cols"])
    )


def _padding(seen: Seen, values: dict[str, Any], result: Tensor) -> Seen:
    left, right, top, bottom = (list(values["pad"]) + [0] * 4)[:4]
    mode = values.get("mode", "constant")
    return seen.with_axes(
        padded(seen.rows, top, bottom, mode), padded(seen.cols, left, right, mode)
    )


def _shuffle(seen: Seen, values: dict[str, Any], result: Tensor) -> Seen:
    return seen.with_axes(*both(pixel_shuffled, seen.axes, _pair(values["factor"])))


def _unshuffle(seen: Seen, values: dict[str, Any], result: Tensor) -> Seen:
    factor = _pair(values["factor"])
    return seen.with_axes(
        *both(Axis.windowed, seen.axes, result.shape[-2:], factor, factor, (0, 0), (1, 1))
    )


def _pair(value: Any) -> tuple[Any, Any]:
    if isinstance(value, Sequence):
        return (value[0], value[0]) if len(value) == 1 else (value[0], value[1])
    return value, value


_SHAPED_LIKE = {
    *(torch.zeros_like, torch.ones_like, torch.empty_like, torch.full_like, torch.rand_like),
    *(Tensor.new_zeros, Tensor.new_ones, Tensor.new_full, Tensor.new_empty, Tensor.new_tensor),
}
_CONVERSIONS = {Tensor.to, Tensor.type_as, Tensor.view_as, Tensor.reshape_as, Tensor.expand_as}
_CHAINS = {torch.cat, torch.concat, torch.concatenate}

_CONV = ("input", "weight", "bias", "stride", "padding", "dilation")
_UP = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
_MAX_POOL = ("input", "kernel_size", "stride", "padding", "dilation")
_MEAN_POOL = ("input", "kernel_size", "stride", "padding")
_RESIZE = (
    *("input", "size", "scale_factor", "mode", "align_corners"),
    *("recompute_scale_factor", "antialias"),
)

_RULES: dict[Callable[..., Any], tuple[tuple[str, ...], Rule]] = {
    torch.conv2d: (_CONV, _window),
    torch.conv_transpose2d: (_UP, _deconvolution),
    torch.max_pool2d: (_MAX_POOL, _window),
    functional.max_pool2d: (_MAX_POOL, _window),
    functional.max_pool2d_with_indices: (_MAX_POOL, _window),
    functional.avg_pool2d: (_MEAN_POOL, _window),
    functional.adaptive_avg_pool2d: ((), _adaptive),
    functional.adaptive_max_pool2d: ((), _adaptive),
    functional.adaptive_max_pool2d_with_indices: ((), _adaptive),
    region_sums: (("features", "bins", "place"), _regions),
    region_maxima: (("features", "bins", "place"), _regions),
    functional.interpolate: (_RESIZE, _interpolation),
    resample: (("maps", "rows", "cols"), _taps),
    functional.pad: (("input", "pad", "mode"), _padding),
    functional.pixel_shuffle: (("input", "factor"), _shuffle),
    functional.pixel_unshuffle: (("input", "factor"), _unshuffle),
}
