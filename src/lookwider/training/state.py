"""Training state as JSON and named tensors: exact, strict, and never a pickle."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lookwider.errors import CheckpointError

TENSOR, TUPLE, PAIRS, NUMBER = "$tensor", "$tuple", "$pairs", "$number"
"""Keys that mark what JSON has no form for."""


def pack(value: object, where: str = "state") -> tuple[Any, dict[str, Tensor]]:
    """Split nested state into what JSON holds and tensors by name.

    Dictionaries, lists, tuples, tensors, numbers, text, true, false and None; nothing else.
    Tensors become contiguous; their strides are noted, so that `unpack` restores the same memory
    layout and with it the same rounding in every later step.

    Args:
        value: the state.
        where: its name; names within are joined by dots.

    Raises:
        CheckpointError: something else is in the state; the message says what and where.

    Example:
        >>> pack({"lr": 0.1, 3: (1, None)})[0]
        {'$pairs': [['lr', 0.1], [3, {'$tuple': [1, None]}]]}
    """
    tensors: dict[str, Tensor] = {}
    return _pack(value, where, tensors), tensors


def _pack(value: object, where: str, tensors: dict[str, Tensor]) -> Any:
    match value:
        case None | bool() | str():
            return value
        case int() | float() if type(value) in (int, float):
            return value if math.isfinite(value) else {NUMBER: repr(value)}
        case Tensor():
            return {TENSOR: _pack_tensor(value, where, tensors)}
        case tuple():
            return {TUPLE: [_pack(v, f"{where}.{i}", tensors) for i, v in enumerate(value)]}
        case list():
            return [_pack(v, f"{where}.{i}", tensors) for i, v in enumerate(value)]
        case Mapping():
            return _pack_mapping(value, where, tensors)
    raise CheckpointError(
        f"{where}: got a {type(value).__module__}.{type(value).__qualname__}, expected tensors, "
        "numbers, text, lists or dictionaries; training state is never pickled"
    )


def _pack_tensor(tensor: Tensor, name: str, tensors: dict[str, Tensor]) -> list[Any]:
    value = tensor.detach().cpu()
    tensors[name] = value.contiguous().clone()
    return [name, None if value.is_contiguous() else list(value.stride())]


def _pack_mapping(mapping: Mapping[Any, Any], where: str, tensors: dict[str, Tensor]) -> Any:
    for key in mapping:
        if type(key) not in (str, int):
            raise CheckpointError(f"{where}: got the key {key!r}, expected text or an integer")
    packed = {key: _pack(value, f"{where}.{key}", tensors) for key, value in mapping.items()}
    plain = all(isinstance(key, str) and not key.startswith("$") for key in packed)
    return packed if plain else {PAIRS: [[key, value] for key, value in packed.items()]}


def unpack(packed: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Put together again what `pack` split.

    Raises:
        CheckpointError: a tensor is missing or does not fit its strides.

    Example:
        >>> unpack(*pack({"lr": 0.1, 3: (1, None)}))
        {'lr': 0.1, 3: (1, None)}
    """
    match packed:
        case list():
            return [unpack(value, tensors) for value in packed]
        case {"$tensor": [str() as name, strides]}:
            return _unpack_tensor(name, strides, tensors)
        case {"$tuple": list() as values}:
            return tuple(unpack(value, tensors) for value in values)
        case {"$pairs": list() as pairs}:
            return {key: unpack(value, tensors) for key, value in pairs}
        case {"$number": str() as number}:
            return float(number)
        case dict():
            return {key: unpack(value, tensors) for key, value in packed.items()}
    return packed


def _unpack_tensor(name: str, strides: list[int] | None, tensors: Mapping[str, Tensor]) -> Tensor:
    if name not in tensors:
        raise CheckpointError(f"the tensor {name!r} of the training state is missing")
    value = tensors[name]
    if strides is None:
        return value.clone()
    if len(strides) != value.dim():
        raise CheckpointError(f"the tensor {name!r} does not fit the strides {strides}")
    return torch.empty_strided(value.shape, strides, dtype=value.dtype).copy_(value)
