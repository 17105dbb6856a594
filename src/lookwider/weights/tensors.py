"""The tensors of a checkpoint: listed from a file's header, compared with a model's."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from lookwider.errors import CheckpointError
from lookwider.weights.description import TensorEntry, listed
from lookwider.weights.safe_files import MAX_JSON_BYTES, parse_json

EXACT_IN_FLOAT32 = frozenset({"F32", "F16", "BF16"})

ITEM_BYTES = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2"), 1),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
    **dict.fromkeys(("U32", "I32", "F32"), 4),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 8),
}
"""Bytes of a number of each of safetensors' types."""

_ENTRIES = TypeAdapter(dict[str, TensorEntry])


def tensor_list(path: Path) -> dict[str, TensorEntry]:
    """Return types and shapes of the tensors of a safetensors file, from its header alone.

    Raises:
        CheckpointError: the header is longer than the file or than any real one, malformed, or
            lists more or less than the file holds.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        if length > min(size - 8, MAX_JSON_BYTES):
            raise CheckpointError(
                f"{path}: got a header of {length} bytes in a file of {size}, expected it inside "
                f"the file and at most {MAX_JSON_BYTES}; the file is damaged or truncated"
            )
        header = parse_json(file.read(length), path)
    header.pop("__metadata__", None)
    for entry in header.values():
        if isinstance(entry, dict):
            entry.pop("data_offsets", None)
    try:
        entries = _ENTRIES.validate_json(json.dumps(header))
    except ValidationError as error:
        raise CheckpointError(f"{path}: malformed list of tensors; the file is damaged") from error
    listed_bytes, held = bytes_of(entries, str(path)), size - 8 - length
    if listed_bytes != held:
        raise CheckpointError(
            f"{path}: lists tensors of {listed_bytes} bytes and holds {held}; the file is damaged "
            "or truncated"
        )
    return entries


def bytes_of(entries: Mapping[str, TensorEntry], where: str) -> int:
    """Return the bytes of the tensors of a list.

    Raises:
        CheckpointError: a type is none of safetensors'.

    Example:
        >>> bytes_of({"a": TensorEntry(dtype="F16", shape=(2, 3))}, "a list")
        12
    """
    for name, entry in entries.items():
        if entry.dtype not in ITEM_BYTES:
            raise CheckpointError(
                f"{where}: {name} is of type {entry.dtype!r}, expected one of {listed(ITEM_BYTES)}"
            )
    return sum(ITEM_BYTES[entry.dtype] * math.prod(entry.shape) for entry in entries.values())


def separate(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return contiguous tensors on the CPU; those that share memory are copied apart."""
    result: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, value in state.items():
        tensor = value.detach().cpu().contiguous()
        memory = tensor.untyped_storage().data_ptr()
        result[name] = tensor.clone() if memory in seen else tensor
        seen.add(memory)
    return result


def tensor_entries(model: torch.nn.Module) -> dict[str, TensorEntry]:
    """Return types and shapes of a model's tensors."""
    return {name: TensorEntry.of(name, t) for name, t in model.state_dict().items()}


def compare_tensors(
    expected: Mapping[str, TensorEntry], found: Mapping[str, TensorEntry], where: str
) -> None:
    """Raise, listing all, when tensors are missing, left over or of another shape or type."""
    problems = []
    if missing := expected.keys() - found.keys():
        problems.append(f"missing: {listed(missing)}")
    if left_over := found.keys() - expected.keys():
        problems.append(f"left over: {listed(left_over)}")
    misfits = [
        f"{name}: got {found[name]}, expected {expected[name]}"
        for name in expected.keys() & found.keys()
        if not _fits(expected[name], found[name])
    ]
    if misfits:
        problems.append(listed(misfits))
    if problems:
        raise CheckpointError(f"{where}: tensors do not fit the model: {'; '.join(problems)}")


def _fits(expected: TensorEntry, found: TensorEntry) -> bool:
    exact = {expected.dtype, found.dtype} <= EXACT_IN_FLOAT32
    return expected.shape == found.shape and (exact or expected.dtype == found.dtype)
