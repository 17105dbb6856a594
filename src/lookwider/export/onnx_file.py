"""ONNX, run by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
import onnxruntime
import torch

from lookwider.export.artefact import Artefact
from lookwider.export.formats import Options
from lookwider.export.network import ExportableNetwork
from lookwider.export.parity import Array, Run
from lookwider.export.quantising import quantised
from lookwider.export.tracing import quietly, traced_program

INPUT = "images"
"""The name of the input; outputs are called ``logits`` or ``labels``."""


def onnx_model(
    network: ExportableNetwork, options: Options, calibration: Sequence[Array]
) -> onnx.ModelProto:
    """Return the network as an ONNX model; of int8, calibrated on images as the file takes them."""
    program = traced_program(network, options)
    output = "labels" if options.labels else "logits"
    with quietly():
        made = torch.onnx.export(
            program,
            dynamo=True,
            verbose=False,
            input_names=[INPUT],
            output_names=[output],
        )
    assert made is not None
    model = made.model_proto
    _name_sizes(model, options)
    return quantised(model, INPUT, calibration) if options.dtype == "int8" else model


def onnx_file(
    network: ExportableNetwork, options: Options, calibration: Sequence[Array]
) -> Artefact:
    """Return the network as an ONNX file."""
    model = onnx_model(network, options, calibration)

    def write(path: Path, metadata: Mapping[str, str]) -> None:
        onnx.helper.set_model_props(model, dict(metadata))
        path.write_bytes(model.SerializeToString())

    def read(path: Path) -> Run:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

        def run(images: Array) -> Array:
            found: Array = session.run(None, {INPUT: images})[0]
            return found

        return run

    return Artefact(write, read, f"ONNX Runtime {onnxruntime.__version__}")


def _name_sizes(model: onnx.ModelProto, options: Options) -> None:
    """Name the free sizes as people know them."""
    maps = ("batch", None, "height", "width")
    result = ("batch", "height", "width") if options.labels else maps
    for value, names in ((model.graph.input[0], maps), (model.graph.output[0], result)):
        for size, name in zip(value.type.tensor_type.shape.dim, names, strict=True):
            if options.dynamic and name is not None:
                size.dim_param = name
