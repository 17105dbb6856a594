"""PyTorch's files: the zip format and the one before 1.6, as flat state dicts, nothing executed.

`lookwider.weights.formats.pickle_check` follows the pickle on paper, here the storages it
declares are compared with the file, and only then does torch.load read it.
"""

from __future__ import annotations

import io
import mmap
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from lookwider.errors import CheckpointError
from lookwider.weights.description import listed
from lookwider.weights.formats.kinds import Kind, expect
from lookwider.weights.formats.pickle_calls import Storage
from lookwider.weights.formats.pickle_check import check_pickle

MAX_MEMBERS = 65_536
MAX_DIRECTORY_BYTES = 16 * 1024 * 1024
"""The zip's list of members; Python's zipfile reads it whole."""

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001

WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Under which key training scripts keep the weights beside an optimiser and counters."""

_NUMPY_SCALARS: list[Any] = [
    np.dtype,
    *(type(np.dtype(code)) for code in np.typecodes["AllInteger"] + "?efdFD"),
    (np.float64(0).__reduce__()[0], "numpy.core.multiarray.scalar"),
    (np.float64(0).__reduce__()[0], "numpy._core.multiarray.scalar"),
]
"""Scores and counters that training scripts keep; `check_pickle` has checked their form."""


def read_pth(path: str | Path) -> dict[str, Tensor]:
    """Read a file of ``torch.save`` as a flat state dict.

    The weights may be the whole file or lie under ``state_dict``, ``model_state_dict`` or
    ``model``; what else is there is ignored. A prefix ``module.`` of all names, as from
    DataParallel, is removed.

    Args:
        path: the file, of the zip format or the one before 1.6.

    Raises:
        CheckpointError: it is no such file, is damaged, holds code or values that a state dict
            does not need, or no state dict. Nothing is executed in any case.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     torch.save({"state_dict": {"score.bias": torch.zeros(2)}}, f"{folder}/x.pth")
        ...     read_pth(f"{folder}/x.pth")
        {'score.bias': tensor([0., 0.])}
    """
    kind = expect(path, Kind.ZIP_PTH, Kind.LEGACY_PTH)
    path = Path(path)
    try:
        if kind is Kind.ZIP_PTH:
            _check_zip(path)
        else:
            _check_legacy(path)
        content = _load(path)
        state = _state_dict(content)
        _check_extent(state, path.stat().st_size)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    return _without_module({name: tensor.detach() for name, tensor in state.items()})


def _check_zip(path: Path) -> None:
    """Compare the members of the archive, and the storages of its pickle, with the file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        _check_directory(file, size)
        try:
            with zipfile.ZipFile(file) as archive:
                members = _members(archive, size)
                pickle = _only_pickle(members)
                root = pickle.removesuffix("data.pkl")
                if damaged := archive.testzip():  # torch.load does not look
                    raise CheckpointError(
                        f"member {damaged!r} does not match its check sum; the file is damaged, "
                        "download it again"
                    )
                _, storages = check_pickle(io.BytesIO(archive.read(pickle)))
        except CheckpointError:
            raise
        except Exception as error:  # zipfile's own errors of a damaged archive are many
            raise CheckpointError(_damaged(error)) from error
    for storage in storages.values():
        found = members.get(f"{root}data/{storage.key}", 0)
        if found != storage.size:
            raise CheckpointError(
                f"storage {storage.key!r} has {found} bytes in the file, expected {storage.size}; "
                "the file is damaged or was changed"
            )


def _check_directory(file: IO[bytes], size: int) -> None:
    """Refuse a list of members that would need much memory to read."""
    tail_bytes = 22 + 20 + 56  # the last record, and those of an archive with 64-bit sizes
    file.seek(max(0, size - tail_bytes))
    tail = file.read(tail_bytes)
    last = tail[-22:]
    if len(last) < 22 or last[:4] != b"PK\x05\x06" or last[-2:] != b"\0\0":
        raise CheckpointError(
            "the end of the archive is missing; the file is truncated, download it again"
        )
    length = struct.unpack_from("<I", last, 12)[0]
    if tail[-42:-38] == b"PK\x06\x07" and tail[:4] == b"PK\x06\x06":
        length = max(length * (length != 2**32 - 1), struct.unpack_from("<Q", tail, 40)[0])
    if length > MAX_DIRECTORY_BYTES:
        raise CheckpointError(
            f"its list of members has {length} bytes, expected at most {MAX_DIRECTORY_BYTES}"
        )


def _members(archive: zipfile.ZipFile, size: int) -> dict[str, int]:
    """Return the sizes of the members by name, all stored plainly and inside the file."""
    entries = archive.infolist()
    if len(entries) > MAX_MEMBERS:
        raise CheckpointError(f"has {len(entries)} members, expected at most {MAX_MEMBERS}")
    members = {entry.filename: entry.file_size for entry in entries}
    if len(members) != len(entries):
        raise CheckpointError("names a member twice; torch.save does not")
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
            raise CheckpointError(
                f"member {entry.filename!r} is compressed or encrypted; torch.save does neither. "
                "If it is a zip of weight files, unpack it first"
            )
        if entry.compress_size != entry.file_size or entry.header_offset + entry.file_size > size:
            raise CheckpointError(f"member {entry.filename!r} is larger than the file")
    if sum(members.values()) > size:
        raise CheckpointError("its members together are larger than the file")
    return members


def _only_pickle(members: Mapping[str, int]) -> str:
    if any(name.endswith("/constants.pkl") for name in members):
        raise CheckpointError(
            "is a TorchScript archive, a program; nothing in it was executed. Save its "
            "state_dict() with torch.save where it was made"
        )
    pickles = [name for name in members if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise CheckpointError(
            f"is a zip archive with {len(pickles)} files data.pkl, expected one, as torch.save "
            "writes it; if it is a zip of weight files, unpack it first"
        )
    return pickles[0]


def _check_legacy(path: Path) -> None:
    """Compare the storages that the pickle declares with the bytes behind it."""
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        magic, _ = check_pickle(data)
        protocol, _ = check_pickle(data)
        if magic != LEGACY_MAGIC or protocol != LEGACY_PROTOCOL:
            raise CheckpointError(f"got the format {protocol!r}, expected {LEGACY_PROTOCOL}")
        check_pickle(data)  # what kind of machine wrote it
        _, storages = check_pickle(data)
        keys, _ = check_pickle(data)
        if not isinstance(keys, list) or sorted(map(repr, keys)) != sorted(map(repr, storages)):
            raise CheckpointError("its list of storages is not the one its tensors need")
        for key in keys:
            _skip_storage(data, storages[key])


def _skip_storage(data: mmap.mmap, storage: Storage) -> None:
    """Pass over a storage: the number of elements, then their bytes."""
    start = data.read(8)
    left = len(data) - data.tell()
    count = struct.unpack("<q", start)[0] if len(start) == 8 else None
    if count != storage.count or storage.size > left:
        raise CheckpointError(
            f"storage {storage.key!r} has {count} elements and at most {left} bytes in the file, "
            f"expected {storage.count} and {storage.size}; the file is damaged or truncated"
        )
    data.seek(storage.size, 1)


def _load(path: Path) -> object:
    """Let PyTorch read what was checked; its own restrictions are a second barrier."""
    known = torch.serialization.get_safe_globals()  # leaving the context would remove these too
    new = [name for name in _NUMPY_SCALARS if name not in known]
    try:
        with path.open("rb") as file, torch.serialization.safe_globals(new):
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged file can cause in its many readers
        raise CheckpointError(_damaged(error)) from error


def _state_dict(content: object) -> dict[str, Tensor]:
    """Return the state dict that a file's object is or holds."""
    if not isinstance(content, dict):
        raise CheckpointError(
            f"holds a {type(content).__name__}, expected a state dict; save model.state_dict()"
        )
    wrapped = [key for key in WRAPPERS if isinstance(content.get(key), dict)]
    state: dict[Any, Any] = content[wrapped[0]] if wrapped else content
    others = [
        f"{name!r} ({type(value).__name__})"
        for name, value in state.items()
        if not isinstance(name, str) or not isinstance(value, Tensor)
    ]
    if others or not state:
        raise CheckpointError(
            f"holds no state dict: expected names and tensors, or these under one of "
            f"{', '.join(WRAPPERS)}; got {listed(others) or 'nothing'}"
        )
    return state


def _check_extent(state: Mapping[str, Tensor], size: int) -> None:
    """Refuse tensors that would take more memory than the file: views of a few values."""
    total = 0
    for name, tensor in state.items():
        extent = tensor.numel() * tensor.element_size()
        total += extent
        if extent > tensor.untyped_storage().nbytes() or total > 2 * size:
            raise CheckpointError(
                f"tensor {name!r} of shape {list(tensor.shape)} repeats the few values that the "
                "file stores; expected tensors no larger than their storage"
            )


def _without_module(state: dict[str, Tensor]) -> dict[str, Tensor]:
    prefix = "module."
    if all(name.startswith(prefix) for name in state):
        return {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def _damaged(error: Exception) -> str:
    return (
        f"cannot be read ({type(error).__name__}): it is damaged, or of a PyTorch newer than this "
        "one; nothing in it was executed; compare its size and hash with those at its source"
    )
