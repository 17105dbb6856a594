"""What places see after a tensor was reduced, turned, reshaped or sliced."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lookwider.layers.field_axes import Axis, Field
from lookwider.layers.field_seen import Rule, Seen

_Dims = Sequence[int]


def _reduced(default: _Dims | None) -> Rule:
    """Return the rule of a function that mixes all places along some dimensions.

    Args:
        default: which, where the caller names none; None for all.
    """

    def rule(seen: Seen, values: dict[str, Any], result: Tensor) -> Seen:
        dim = values.get("dim", values.get("axis"))
        if isinstance(dim, Tensor):  # the maximum of two maps, place by place
            return seen.same(result)
        given = default if dim is None else _tuple(dim)
        mixed = [_last(d, seen.rank) for d in given or range(seen.rank)]
        assert seen.dims is not None
        kept = result.dim() == seen.rank
        if not kept and set(mixed) & set(seen.dims):
            return seen.blurred(result.shape)
        axes = [
            axis.everything(result.shape[d]) if d in mixed else axis
            for axis, d in zip(seen.axes, seen.dims, strict=True)
        ]
        rows, cols = seen.dims if kept else (d + sum(m > d for m in mixed) for d in seen.dims)
        return Seen(axes[0], axes[1], (rows, cols), result.dim())

    return rule


def _layer_norm(seen: Seen, values: dict[str, Any], result: Tensor) -> Seen:
    count = len(values["normalized_shape"])
    return _reduced(range(-count, 0))(seen, {}, result)


def _instance_norm(seen: Seen, values: dict[str, Any], result: Tensor) -> Seen:
    if values.get("use_input_stats", True):
        return seen.blurred(result.shape)
    return seen.same(result)


def _batch_norm(seen: Seen, values: dict[str, Any], result: Tensor) -> Seen:
    """Without running statistics those of the image are used, in evaluation too."""
    return seen.blurred(result.shape) if values.get("training") else seen.same(result)


def _linear(seen: Seen, values: dict[str, Any], result: Tensor) -> Seen:
    assert seen.dims is not None
    axes = [
        axis.everything(result.shape[-1]) if dim == -1 else axis
        for axis, dim in zip(seen.axes, seen.dims, strict=True)
    ]
    return seen.with_axes(axes[0], axes[1])


def _turned(func: Callable[..., Any]) -> Rule:
    """Return the rule of a function that permutes dimensions: tried on one whose sizes differ."""

    def rule(seen: Seen, values: dict[str, Any], result: Tensor) -> Seen:
        assert seen.dims is not None
        sizes = range(2, 2 + seen.rank)
        marked = list(
            func(torch.empty(*sizes, device="meta"), *values["positional"], **values["named"]).shape
        )
        rows, cols = (marked.index(sizes[dim]) - len(marked) for dim in seen.dims)
        return Seen(seen.rows, seen.cols, (rows, cols), result.dim())

    return rule


def _reshaped(seen: Seen, values: dict[str, Any], result: Tensor) -> Seen:
    """Follow a reshape that leaves the last two dimensions as they are."""
    lengths = tuple(len(axis) for axis in seen.axes)
    if seen.dims == (-2, -1) and tuple(result.shape[-2:]) == lengths:
        return Seen(seen.rows, seen.cols, (-2, -1), result.dim())
    return seen.blurred(result.shape)


def _flipped(seen: Seen, values: dict[str, Any], result: Tensor) -> Seen:
    return _reordered(seen, {dim: slice(None, None, -1) for dim in _tuple(values["dims"])}, result)


def _rolled(seen: Seen, values: dict[str, Any], result: Tensor) -> Seen:
    """Rolled places are no grid: the law is kept, the pixels are exact."""
    shifts, dims = values["shifts"], values.get("dims")
    if not dims and dims != 0:
        return seen.blurred(result.shape)
    pairs = zip(_tuple(shifts), _tuple(dims), strict=True)
    axes = dict(zip(seen.dims or (), seen.axes, strict=True))
    for shift, dim in pairs:
        dim = _last(dim, seen.rank)
        if dim in axes:
            axis = axes[dim]
            axes[dim] = Axis(axis.field, np.roll(axis.first, shift), np.roll(axis.last, shift))
    rows, cols = axes.values()
    return Seen(rows, cols, seen.dims, seen.rank)


def _reordered(seen: Seen, slices: dict[int, slice], result: Tensor) -> Seen:
    axes = dict(zip(seen.dims or (), seen.axes, strict=True))
    for dim, part in slices.items():
        dim = _last(dim, seen.rank)
        if dim in axes:
            axes[dim] = sliced(axes[dim], part)
    rows, cols = axes.values()
    return Seen(rows, cols, seen.dims, result.dim())


def sliced(axis: Axis, part: slice) -> Axis:
    """Return the axis of some of the cells."""
    taken = np.arange(len(axis))[part]
    start, _, step = part.indices(len(axis))
    field: Field = axis.field.taken(start, step)
    return axis.gathered(taken[:, None], field)


def _narrowed(seen: Seen, values: dict[str, Any], result: Tensor) -> Seen:
    start = values["start"]
    part = slice(start, start + values["length"])
    if start < 0:
        return seen.blurred(result.shape)
    return _reordered(seen, {values["dim"]: part}, result)


def _indexed(seen: Seen, values: dict[str, Any], result: Tensor) -> Seen:
    """Follow ``maps[...]``: slices, whole numbers, new dimensions, and lists of channels."""
    index = values["index"] if isinstance(values["index"], tuple) else (values["index"],)
    taking = sum(part is not None and part is not Ellipsis for part in index)
    if Ellipsis not in [part for part in index if not isinstance(part, Tensor)]:
        index = (*index, Ellipsis)
    places: list[int | None] = []  # the dimension that each of the result's was
    axes = dict(zip(seen.dims or (), seen.axes, strict=True))
    dim = -seen.rank
    lists = 0
    for part in index:
        if part is Ellipsis:
            span = seen.rank - taking
            places += range(dim, dim + span)
            dim += span
            continue
        if part is None:
            places.append(None)
            continue
        if isinstance(part, slice):
            places.append(dim)
            if dim in axes:
                axes[dim] = sliced(axes[dim], part)
        elif not isinstance(part, int):
            places.append(dim)
            lists += 1
            if dim in axes or np.ndim(part) != 1 or lists > 1:
                return seen.blurred(result.shape)
        dim += 1
    if any(d not in places for d in axes) or len(places) != result.dim():
        return seen.blurred(result.shape)
    rows, cols = (places.index(d) - len(places) for d in axes)
    first, second = axes.values()
    return Seen(first, second, (rows, cols), result.dim())


def _picked(seen: Seen, values: dict[str, Any], result: Tensor) -> Seen:
    """Follow a choice of places or channels by a tensor of indices."""
    dim = _last(values["dim"], seen.rank)
    return seen.blurred(result.shape) if dim in (seen.dims or ()) else seen.same(result)


def _tuple(value: Any) -> tuple[int, ...]:
    return (value,) if isinstance(value, int) else tuple(value)


def _last(dim: int, rank: int) -> int:
    """Return a dimension as counted from the last, -1."""
    return dim - rank if dim >= 0 else dim


_DIM = ("input", "dim")
_NORM = ("input", "ord", "dim")

SHAPE_RULES: dict[Callable[..., Any], tuple[tuple[str, ...], Rule]] = {
    Tensor.__getitem__: (("input", "index"), _indexed),
    torch.flip: (("input", "dims"), _flipped),
    Tensor.flip: (("input", "dims"), _flipped),
    torch.roll: (("input", "shifts", "dims"), _rolled),
    Tensor.roll: (("input", "shifts", "dims"), _rolled),
    torch.index_select: (("input", "dim"), _picked),
    Tensor.index_select: (("input", "dim"), _picked),
    torch.narrow: (("input", "dim", "start", "length"), _narrowed),
    Tensor.narrow: (("input", "dim", "start", "length"), _narrowed),
    functional.linear: (("input",), _linear),
    functional.layer_norm: (("input", "normalized_shape"), _layer_norm),
    torch.layer_norm: (("input", "normalized_shape"), _layer_norm),
    functional.rms_norm: (("input", "normalized_shape"), _layer_norm),
    torch.rms_norm: (("input", "normalized_shape"), _layer_norm),
    functional.batch_norm: (
        ("input", "running_mean", "running_var", "weight", "bias", "training"),
        _batch_norm,
    ),
    functional.instance_norm: (
        ("input", "running_mean", "running_var", "weight", "bias", "use_input_stats"),
        _instance_norm,
    ),
    functional.normalize: (("input", "p", "dim"), _reduced((1,))),
}
"""Function -> the names of its arguments, and its rule."""

_REDUCTIONS = (
    *("mean", "sum", "amax", "amin", "prod", "std", "var", "max", "min", "logsumexp", "median"),
    *("argmax", "argmin", "all", "any", "nansum", "nanmean", "count_nonzero"),
)
_MIXERS = (
    *("softmax", "log_softmax", "cumsum", "cumprod", "sort", "logcumsumexp", "cummax", "cummin"),
    *("cumsum_", "cumprod_"),
)
_TURNS = ("permute", "transpose", "swapaxes", "swapdims", "movedim", "moveaxis")
_RESHAPES = ("view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze")

for _owner in (torch, Tensor):
    for _name in _REDUCTIONS:
        SHAPE_RULES[getattr(_owner, _name)] = (_DIM, _reduced(None))
    for _name in _MIXERS:
        if hasattr(_owner, _name):
            SHAPE_RULES[getattr(_owner, _name)] = (_DIM, _reduced((-1,)))
    for _name in _TURNS:
        SHAPE_RULES[getattr(_owner, _name)] = (("input",), _turned(getattr(_owner, _name)))
    for _name in _RESHAPES:
        if hasattr(_owner, _name):
            SHAPE_RULES[getattr(_owner, _name)] = (("input",), _reshaped)
for _softmax in (
    functional.softmax,
    functional.log_softmax,
    functional.softmin,
    torch.special.softmax,
):
    SHAPE_RULES[_softmax] = (_DIM, _reduced((-1,)))
for _property in ("mT", "mH"):
    _transposed = getattr(Tensor, _property).__get__
    SHAPE_RULES[_transposed] = (("input",), _turned(_transposed))
SHAPE_RULES[torch.norm] = SHAPE_RULES[Tensor.norm] = (_NORM, _reduced(None))
SHAPE_RULES[torch.linalg.vector_norm] = (_NORM, _reduced(None))
