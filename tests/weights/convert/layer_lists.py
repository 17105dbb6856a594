"""The released Caffe networks' parameters by layer, from their layer lists, and files of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from tests.released import hash_blob
from torch import Tensor

from lookwider.layers.taps import bilinear_filter

Shape = tuple[int, ...]
SCALES = {"scale_pool4": 0.01, "scale_pool3": 0.0001}


def parameter_layers(layers: list[dict[str, Any]]) -> Iterator[tuple[str, str, list[Shape]]]:
    """Yield (name, type, shapes of the blobs) of the layers that have any."""
    for layer in layers:
        shapes = layer.get("param_shapes")
        if layer["type"] == "BN":
            size = next(value for key, value in layer.items() if key.startswith("out_at"))
            shapes = [(1, size[1], 1, 1)] * 4
        if shapes:
            yield layer["name"], layer["type"], [tuple(shape) for shape in shapes]


def bilinear(shape: Shape) -> Tensor:
    """Return a deconvolution's weights as Caffe's filler makes them, grouped or not."""
    line = torch.tensor(bilinear_filter(shape[-1]))
    weight = torch.zeros(shape)
    for index in range(shape[0]):
        weight[index, index if shape[1] > 1 else 0] = torch.outer(line, line)
    return weight


def fixed_blob(name: str, kind: str, position: int, shape: Shape) -> Tensor | None:
    """Return the blobs that the hash formula leaves out: scales and deconvolutions."""
    if kind == "Scale":
        return torch.full(shape, SCALES[name])
    if kind == "Deconvolution":
        return torch.zeros(shape) if position else bilinear(shape)
    return None


def described(layers: list[dict[str, Any]]) -> dict[str, Tensor]:
    """Return a network's blobs without values, but for those that are checked."""
    blobs = {}
    for name, kind, shapes in parameter_layers(layers):
        for position, shape in enumerate(shapes):
            fixed = fixed_blob(name, kind, position, shape)
            blobs[f"{name}[{position}]"] = (
                torch.empty(shape, device="meta") if fixed is None else fixed
            )
    return blobs


def hashed(
    layers: list[dict[str, Any]], stream_order: list[str]
) -> Iterator[tuple[str, str, list[np.ndarray]]]:
    """Yield every layer with the values of the hash formula, as a writer takes them."""
    streams = {entry.partition(":")[2]: int(entry.partition(":")[0]) for entry in stream_order}
    for name, kind, shapes in parameter_layers(layers):
        arrays = []
        for position, shape in enumerate(shapes):
            blob = fixed_blob(name, kind, position, shape)
            if blob is None:
                key = f"{name}[{position}]"
                blob = hash_blob(key, shape, streams.pop(key))
            arrays.append(blob.numpy())
        yield name, kind, arrays
    assert not streams, streams
