"""The formats and dtypes that a network can be exported in, and what is told in each file."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch

from lookwider.errors import ConfigError, MissingExtraError, check_choice
from lookwider.models import Segmenter
from lookwider.weights.description import json_ready

Format = Literal["onnx", "torch", "torchscript", "openvino"]
"""ONNX; `torch.export`'s program; TorchScript, which PyTorch no longer develops; OpenVINO's IR."""

DType = Literal["float32", "bfloat16", "int8"]
"""What the convolutions compute in."""

SUFFIXES: dict[Format, str] = {
    "onnx": ".onnx",
    "torch": ".pt2",
    "torchscript": ".pt",
    "openvino": ".xml",
}

_NEEDS = {
    "onnx": ("onnx", (("onnx", "onnx"), ("onnxruntime", "onnxruntime"))),
    "openvino": ("openvino", (("openvino", "openvino"), ("onnx", "onnx"))),
}

_IMPOSSIBLE = {
    ("onnx", "bfloat16"): (
        "ONNX Runtime has no bfloat16 convolution for CPUs, so that nothing here could check the "
        "file; use --dtype float32 or int8, or --format torch --dtype bfloat16"
    ),
    ("torch", "int8"): (
        "PyTorch's own int8 kernels are no part of a torch.export program; use --format onnx or "
        "openvino"
    ),
    ("torchscript", "int8"): (
        "PyTorch no longer develops TorchScript's int8 kernels; use --format onnx or openvino"
    ),
}


@dataclass(frozen=True)
class Options:
    """What is exported and how.

    Attributes:
        format: of the file.
        dynamic: whether batch, height and width are free; otherwise they are 1 and ``size``.
        size: (height, width) of a file that is not dynamic, and of the image that is traced.
        labels: give the labels of pixels instead of their logits.
        preprocess: take raw RGB values and normalise them in the file.
        dtype: what its convolutions compute in.
    """

    format: Format = "onnx"
    dynamic: bool = True
    size: tuple[int, int] = (97, 131)
    labels: bool = False
    preprocess: bool = False
    dtype: DType = "float32"


def check_options(options: Options, model: Segmenter) -> None:
    """Check what can be known before anything is traced.

    Raises:
        ConfigError: a name is unknown, or the format has no such dtype, or raw values of this
            model are no bytes.
        MissingExtraError: a library that the format needs is not installed.
    """
    check_choice("format", options.format, get_args(Format))
    check_choice("dtype", options.dtype, get_args(DType))
    reason = _IMPOSSIBLE.get((options.format, options.dtype))
    if reason is not None:
        raise ConfigError(f"cannot export {options.dtype} to {options.format}: {reason}")
    if min(options.size) < 1:
        raise ConfigError(f"got a size of {options.size}, expected a positive height and width")
    if options.preprocess and model.preprocessing.scale > 255:
        raise ConfigError(
            f"the model's images hold values up to {model.preprocessing.scale:g}, which are no "
            "bytes: export without preprocess, and normalise before the network"
        )
    extra, libraries = _NEEDS.get(options.format, ("", ()))
    for module, library in (*libraries, *((("onnxscript", "onnxscript"),) if extra else ())):
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(library, extra, f"export to {options.format}")


def describe_network(model: Segmenter, options: Options) -> dict[str, str]:
    """Return what a file tells of itself: texts by key, JSON where it is no plain word."""
    numbers = model.preprocessing
    bands = numbers.in_channels
    what = "raw values, RGB order, uint8" if options.preprocess else "normalised, float32"
    found = {
        "input": f"(N, {bands}, H, W) {what}",
        "output": "labels (N, H, W) uint8" if options.labels else "logits (N, K, H, W) float32",
        "normalisation": {
            "formula": "(image / scale - mean) / std, per band, after the bands are in order",
            "in_the_graph": options.preprocess,
            "mean": list(numbers.mean),
            "std": list(numbers.std),
            "scale": numbers.scale,
            "order": numbers.order,
        },
        "classes": list(model.classes.names),
        "palette": [list(colour) for colour in model.classes.palette],
        "architecture": json_ready(model.architecture),
        "dtype": options.dtype,
        "weights_sha256": weights_hash(model),
    }
    return {
        f"lookwider.{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in found.items()
    }


def weights_hash(model: Segmenter) -> str:
    """Return the SHA-256 of a model's tensors, with their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def named_file(path: str | Path, file_format: Format) -> Path:
    """Return the path with the format's suffix, where it has none.

    Raises:
        ConfigError: it has another one.

    Example:
        >>> named_file("road", "onnx").name
        'road.onnx'
    """
    path, suffix = Path(path), SUFFIXES[file_format]
    if path.suffix in SUFFIXES.values() and path.suffix != suffix:
        raise ConfigError(f"{path}: a file of format {file_format} ends in {suffix}")
    return path if path.suffix == suffix else path.with_name(path.name + suffix)
