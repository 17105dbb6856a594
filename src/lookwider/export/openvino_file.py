"""OpenVINO's IR, made from ONNX and run by OpenVINO."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import openvino

from lookwider.errors import ConfigError, LookwiderError
from lookwider.export.artefact import Artefact
from lookwider.export.formats import Options
from lookwider.export.network import ExportableNetwork
from lookwider.export.onnx_file import onnx_model
from lookwider.export.parity import Array, Run

PRECISION = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}
"""What OpenVINO is told to compute in; int8 layers say so themselves."""


def openvino_file(
    network: ExportableNetwork, options: Options, calibration: Sequence[Array]
) -> Artefact:
    """Return the network as OpenVINO's IR.

    Raises:
        ConfigError: bfloat16 was asked for and this machine has no units for it.
    """
    core = openvino.Core()
    if options.dtype == "bfloat16":
        _check_bfloat16(core)
    # read_model, since convert_model would load the library that reports on its use
    content = onnx_model(network, options, calibration).SerializeToString()
    model = core.read_model(content, b"")

    def write(path: Path, metadata: Mapping[str, str]) -> None:
        for key, value in metadata.items():
            model.set_rt_info(value, ["lookwider", key.removeprefix("lookwider.")])
        try:
            openvino.save_model(model, path, compress_to_fp16=False)
        except RuntimeError as error:
            raise LookwiderError(f"{path}: cannot be written: {error}") from error

    def read(path: Path) -> Run:
        hint = {"INFERENCE_PRECISION_HINT": PRECISION[options.dtype]}
        network = core.compile_model(core.read_model(path), "CPU", hint)

        def run(images: Array) -> Array:
            found: Array = network([images])[0].copy()
            return found

        return run

    note = (
        "float32 weights: compile with INFERENCE_PRECISION_HINT bf16, as it was compared"
        if options.dtype == "bfloat16"
        else "compile with INFERENCE_PRECISION_HINT f32 where the device's default is narrower"
    )
    return Artefact(write, read, f"OpenVINO {openvino.__version__}", notes=(note,))


def _check_bfloat16(core: openvino.Core) -> None:
    known = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if "BF16" not in known:
        raise ConfigError(
            f"OpenVINO finds no bfloat16 units in this CPU, only {', '.join(known)}, so that "
            "nothing here could check the file; use --dtype float32 or int8, or another machine"
        )
