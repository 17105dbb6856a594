"""PyTorch's own formats: the program of `torch.export`, and TorchScript."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import nn

from lookwider.export.artefact import Artefact
from lookwider.export.formats import Options
from lookwider.export.network import ExportableNetwork
from lookwider.export.parity import Array, Run
from lookwider.export.tracing import least_side, quietly, traced_program, traced_script

METADATA = "lookwider.json"
"""The extra file that tells of the network; JSON."""


def torch_program(network: ExportableNetwork, options: Options) -> Artefact:
    """Return the network as a program of `torch.export`."""
    program = traced_program(network, options)

    def write(path: Path, metadata: Mapping[str, str]) -> None:
        buffer = io.BytesIO()  # written by Python, whose errors say what is wrong with a disk
        torch.export.save(program, buffer, extra_files={METADATA: json.dumps(dict(metadata))})
        path.write_bytes(buffer.getvalue())

    def read(path: Path) -> Run:
        with quietly():
            return _run(torch.export.load(path).module())

    least = least_side(program, network, options)
    note = f"torch.export guards the size: each side has at least {least} pixels"
    judge = f"torch.export of PyTorch {torch.__version__}"
    return Artefact(write, read, judge, least, (note,) if least > 1 else ())


def torch_script(network: ExportableNetwork, options: Options) -> Artefact:
    """Return the network as TorchScript."""
    traced = traced_script(network, options)

    def write(path: Path, metadata: Mapping[str, str]) -> None:
        with quietly():
            torch.jit.save(traced, path, _extra_files={METADATA: json.dumps(dict(metadata))})

    def read(path: Path) -> Run:
        with quietly():
            load = cast(Callable[..., nn.Module], torch.jit.load)
            return _run(load(path))

    note = "PyTorch has deprecated TorchScript: prefer --format torch, or onnx"
    return Artefact(write, read, f"TorchScript of PyTorch {torch.__version__}", notes=(note,))


def _run(module: nn.Module) -> Run:
    def run(images: Array) -> Array:
        with torch.inference_mode():
            found: Array = module(torch.from_numpy(np.ascontiguousarray(images))).numpy()
        return found

    return run
