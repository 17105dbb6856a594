"""Writes caffemodels, so that no weight files are needed; layer by layer, for large ones too."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

Layer = tuple[str, str, Sequence[npt.ArrayLike]]

V1_TYPES = {
    "Concat": 3,
    "Convolution": 4,
    "Data": 5,
    "Dropout": 6,
    "InnerProduct": 14,
    "LRN": 15,
    "Pooling": 17,
    "ReLU": 18,
    "Softmax": 20,
    "SoftmaxWithLoss": 21,
    "Split": 22,
    "Eltwise": 25,
    "Power": 26,
    "Silence": 36,
    "Deconvolution": 39,
}
"""Numbers of layer types in the older format, as many as tests use."""


def write_caffemodel(
    path: str | Path,
    name: str,
    layers: Iterable[Layer],
    *,
    v1: bool = False,
    double: bool = False,
    legacy_shape: bool = False,
    packed: bool = True,
) -> Path:
    """Write a network's parameters as Caffe does.

    Args:
        path: the file.
        name: of the network.
        layers: each (name, type, arrays); an iterator is consumed one layer at a time.
        v1: the older format, with numbers for types.
        double: store float64.
        legacy_shape: store num, channels, height and width, filled with ones from the left.
        packed: store the values as one field; otherwise each with its own tag.

    Returns:
        The path.
    """
    path = Path(path)
    with path.open("wb") as file:
        file.write(text(1, name))
        for layer_name, kind, arrays in layers:
            blobs = [blob(a, double, legacy_shape, packed) for a in arrays]
            head = text(4, layer_name) + text(2, "top") if v1 else text(1, layer_name)
            head += tag(5, 0) + varint(V1_TYPES[kind]) if v1 else text(2, kind)
            field = 6 if v1 else 7
            prefixes = [tag(field, 2) + varint(sum(map(len, parts))) for parts in blobs]
            size = len(head) + sum(map(len, prefixes)) + sum(len(p) for b in blobs for p in b)
            file.write(tag(2 if v1 else 100, 2) + varint(size) + head)
            for prefix, parts in zip(prefixes, blobs, strict=True):
                file.write(prefix)
                file.writelines(parts)
    return path


def blob(
    array: npt.ArrayLike, double: bool = False, legacy_shape: bool = False, packed: bool = True
) -> list[bytes]:
    """Return a BlobProto in parts, so that the values are not copied once more."""
    values = np.ascontiguousarray(array, dtype="<f8" if double else "<f4")
    dims = np.shape(array)
    if legacy_shape:
        assert len(dims) <= 4
        four = (1,) * (4 - len(dims)) + dims
        shape = b"".join(tag(i, 0) + varint(n) for i, n in enumerate(four, start=1))
    else:
        sizes = b"".join(map(varint, dims))
        content = tag(1, 2) + varint(len(sizes)) + sizes
        shape = tag(7, 2) + varint(len(content)) + content
    field = 8 if double else 5
    data = values.tobytes()
    if packed:
        return [shape, tag(field, 2) + varint(len(data)), data]
    key, width = tag(field, 1 if double else 5), values.itemsize
    return [shape, b"".join(key + data[i : i + width] for i in range(0, len(data), width))]


def text(field: int, value: str) -> bytes:
    """Return a field that holds text."""
    data = value.encode()
    return tag(field, 2) + varint(len(data)) + data


def tag(field: int, wire_type: int) -> bytes:
    """Return what stands before a field's value."""
    return varint(field << 3 | wire_type)


def varint(value: int) -> bytes:
    """Return a whole number in groups of seven bits; a negative one as 64 bits."""
    value &= (1 << 64) - 1
    groups = []
    while value >= 128:
        groups.append(value & 127 | 128)
        value >>= 7
    return struct.pack(f"{len(groups) + 1}B", *groups, value)
