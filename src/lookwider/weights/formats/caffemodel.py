"""Caffe's weights, read without Caffe: a NetParameter of Protocol Buffers, field by field.

Both generations are read: LayerParameter, and the V1LayerParameter of before 2015, whose types
are numbers. What the messages hold besides names, types and blobs is skipped. The file is mapped,
not read, and each blob is copied out once.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lookwider.errors import CheckpointError
from lookwider.weights.formats.kinds import Kind, expect
from lookwider.weights.formats.wire import (
    EIGHT_BYTES,
    FOUR_BYTES,
    LENGTH,
    VARINT,
    Field,
    Span,
    malformed,
)

MAX_LAYERS = 20_000
MAX_BLOBS = 100_000
MAX_AXES = 32
"""Caffe's own bound of a blob's dimensions."""

NET_NAME, NET_V1_LAYERS, NET_LAYERS = 1, 2, 100
LAYER_NAME, LAYER_TYPE, LAYER_BLOBS = 1, 2, 7
V1_LAYER_V0, V1_LAYER_NAME, V1_LAYER_TYPE, V1_LAYER_BLOBS = 1, 4, 5, 6
BLOB_LEGACY_SHAPE = (1, 2, 3, 4)  # num, channels, height, width
BLOB_DATA, BLOB_SHAPE, BLOB_DOUBLE_DATA = 5, 7, 8
SHAPE_DIM = 1

V1_TYPES = (
    "None",
    *("Accuracy", "BNLL", "Concat", "Convolution", "Data"),
    *("Dropout", "EuclideanLoss", "Flatten", "HDF5Data", "HDF5Output"),
    *("Im2col", "ImageData", "InfogainLoss", "InnerProduct", "LRN"),
    *("MultinomialLogisticLoss", "Pooling", "ReLU", "Sigmoid", "Softmax"),
    *("SoftmaxWithLoss", "Split", "TanH", "WindowData", "Eltwise"),
    *("Power", "SigmoidCrossEntropyLoss", "HingeLoss", "MemoryData", "ArgMax"),
    *("Threshold", "DummyData", "Slice", "MVN", "AbsVal"),
    *("Silence", "ContrastiveLoss", "Exp", "Deconvolution"),
)
"""Layer types of the older generation: the position is the enum's number, the name today's."""


@dataclass(frozen=True)
class CaffeLayer:
    """One layer as stored.

    Attributes:
        name: as in the prototxt.
        type: such as ``Convolution``.
        blobs: its parameters, float32, in Caffe's order and shapes.
    """

    name: str
    type: str
    blobs: tuple[Tensor, ...]


@dataclass(frozen=True)
class CaffeNet:
    """A network as stored: its name, and every layer in order, those without blobs too."""

    name: str
    layers: tuple[CaffeLayer, ...]


def read_caffemodel(path: str | Path) -> CaffeNet:
    """Read the layers and parameters of a ``.caffemodel``.

    Args:
        path: the file.

    Returns:
        The network; blobs are float32 on the CPU. Older files store four dimensions for every
        blob, and those are kept: a bias is (1, 1, 1, C).

    Raises:
        CheckpointError: it is no caffemodel, or is damaged or truncated; the message names the
            byte.
    """
    expect(path, Kind.CAFFEMODEL)
    with Path(path).open("rb") as file:
        # Not closed by hand: the frames of an error may still hold views of it.
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        return _net(Span(data, 0, len(data)))
    except CheckpointError as error:
        raise CheckpointError(
            f"{path}: not a caffemodel, or damaged or truncated: {error}; "
            "compare its size and hash with those at its source, or download it again"
        ) from error


def _net(message: Span) -> CaffeNet:
    name, layers, blobs = "", [], 0
    for field in message.fields():
        if field.number == NET_NAME:
            name = field.expect(LENGTH).content.text()
        elif field.number in {NET_LAYERS, NET_V1_LAYERS}:
            read = _layer if field.number == NET_LAYERS else _v1_layer
            layers.append(read(field.expect(LENGTH).content, MAX_BLOBS - blobs))
            blobs += len(layers[-1].blobs)
            if len(layers) > MAX_LAYERS:
                malformed(field.at, f"got more than {MAX_LAYERS} layers")
    if not layers:
        malformed(message.start, "holds no layers")
    return CaffeNet(name, tuple(layers))


def _layer(message: Span, most: int) -> CaffeLayer:
    name = kind = ""
    blobs: list[Tensor] = []
    for field in message.fields():
        if field.number == LAYER_NAME:
            name = field.expect(LENGTH).content.text()
        elif field.number == LAYER_TYPE:
            kind = field.expect(LENGTH).content.text()
        elif field.number == LAYER_BLOBS:
            _append_blob(blobs, field, most)
    return CaffeLayer(name, kind, tuple(blobs))


def _v1_layer(message: Span, most: int) -> CaffeLayer:
    name, number = "", 0
    blobs: list[Tensor] = []
    for field in message.fields():
        if field.number == V1_LAYER_V0:
            malformed(
                field.at,
                "a layer in Caffe's oldest format (V0), expected V1 or newer; convert the file "
                "with Caffe's tool upgrade_net_proto_binary",
            )
        elif field.number == V1_LAYER_NAME:
            name = field.expect(LENGTH).content.text()
        elif field.number == V1_LAYER_TYPE:
            number = field.expect(VARINT).value
        elif field.number == V1_LAYER_BLOBS:
            _append_blob(blobs, field, most)
    kind = V1_TYPES[number] if number < len(V1_TYPES) else f"V1 type {number}"
    return CaffeLayer(name, kind, tuple(blobs))


def _append_blob(blobs: list[Tensor], field: Field, most: int) -> None:
    if len(blobs) >= most:
        malformed(field.at, f"got more than {MAX_BLOBS} blobs")
    blobs.append(_blob(field.expect(LENGTH).content))


def _blob(message: Span) -> Tensor:
    """Return a BlobProto's values as float32.

    The first pass over the fields counts, the second copies: nothing is allocated for a shape
    that the values do not fill.
    """
    shape = _shape(message)
    counts = {BLOB_DATA: 0, BLOB_DOUBLE_DATA: 0}
    for field, stretch in _stretches(message):
        counts[field] += len(stretch) // _WIDTHS[field]
    if all(counts.values()):
        malformed(message.start, "a blob holds both float and double values, expected one")
    if not any(counts.values()):
        malformed(message.start, "a blob holds no values; were the weights stripped?")
    source = BLOB_DOUBLE_DATA if counts[BLOB_DOUBLE_DATA] else BLOB_DATA
    if counts[source] != math.prod(shape):
        expected = "x".join(map(str, shape)) or "one value"
        malformed(message.start, f"a blob of shape {expected} holds {counts[source]} values")
    values = np.empty(counts[source], dtype=np.float32)
    filled = 0
    for _, stretch in _stretches(message):
        part = _numbers(stretch, source)
        _copy(part, values[filled : filled + len(part)], stretch.start)
        filled += len(part)
    return torch.from_numpy(values.reshape(shape))


_WIDTHS = {BLOB_DATA: 4, BLOB_DOUBLE_DATA: 8}
_WIRE_TYPES = {BLOB_DATA: FOUR_BYTES, BLOB_DOUBLE_DATA: EIGHT_BYTES}


def _stretches(message: Span) -> Iterator[tuple[int, Span]]:
    """Yield where a blob's values lie: one stretch when packed, one for each value when not."""
    for field in message.fields():
        if field.number in _WIDTHS:
            width = _WIDTHS[field.number]
            content = field.expect(LENGTH, _WIRE_TYPES[field.number]).content
            if len(content) % width:
                malformed(field.at, f"got {len(content)} bytes of {width}-byte values")
            yield field.number, content


def _numbers(stretch: Span, source: int) -> npt.NDArray[np.floating]:
    """Return a view of the file; it must not outlive the map."""
    width = _WIDTHS[source]
    return np.frombuffer(stretch.data, f"<f{width}", len(stretch) // width, stretch.start)


def _copy(part: npt.NDArray[np.floating], target: npt.NDArray[np.float32], at: int) -> None:
    try:
        with np.errstate(over="raise", invalid="ignore"):
            target[:] = part
    except FloatingPointError:
        malformed(at, "a blob holds a value too large for float32")


def _shape(message: Span) -> tuple[int, ...]:
    """Return a blob's dimensions; the four of older files come first, as in Caffe."""
    legacy: dict[int, int] = {}
    dims: list[int] = []
    for field in message.fields():
        if field.number in BLOB_LEGACY_SHAPE:
            legacy[field.number] = _dimension(field.expect(VARINT).value, field.at)
        elif field.number == BLOB_SHAPE:
            for dim in _dims(field.expect(LENGTH).content):
                dims.append(_dimension(dim, field.at))
                if len(dims) > MAX_AXES:
                    malformed(field.at, f"got a blob of more than {MAX_AXES} dimensions")
    return tuple(legacy.get(i, 0) for i in BLOB_LEGACY_SHAPE) if legacy else tuple(dims)


def _dims(message: Span) -> Iterator[int]:
    for field in message.fields():
        if field.number == SHAPE_DIM and field.expect(VARINT, LENGTH).wire_type == VARINT:
            yield field.value
        elif field.number == SHAPE_DIM:
            yield from field.content.varints()


def _dimension(value: int, at: int) -> int:
    """Return a dimension; a negative one is stored as a huge number."""
    if value >= 2**63:
        malformed(at, f"got the dimension {value - 2**64}, expected at least 0")
    return value
