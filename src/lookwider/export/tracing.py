"""A network as a graph: by `torch.export`, or by TorchScript's tracing."""

from __future__ import annotations

import bisect
import copy
import dataclasses
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from lookwider.errors import LookwiderError
from lookwider.export.formats import Options
from lookwider.export.network import ExportableNetwork
from lookwider.models import Segmenter

MANY = 10**6
"""A size that is free may be larger."""


def exportable(model: Segmenter, options: Options) -> ExportableNetwork:
    """Return the network that is traced, in evaluation mode, on the CPU, in its dtype."""
    if model.device.type != "cpu":
        model = copy.deepcopy(model).cpu()
    if options.dtype == "bfloat16" and options.format != "openvino":
        model = copy.deepcopy(model).to(torch.bfloat16)
    network = ExportableNetwork(model, labels=options.labels, preprocess=options.preprocess)
    return network.eval()


def example_images(network: ExportableNetwork, options: Options) -> Tensor:
    """Return images to trace with: two where the batch is free, so that none is taken for one."""
    dtype = torch.uint8 if options.preprocess else torch.float32
    batch = 2 if options.dynamic else 1
    return torch.zeros(batch, network.in_channels, *options.size, dtype=dtype)


def traced_program(network: ExportableNetwork, options: Options) -> ExportedProgram:
    """Trace by `torch.export`.

    Raises:
        LookwiderError: the trunk decides by the image's size what it does.
    """
    sizes = {0: Dim.AUTO, 2: Dim.AUTO, 3: Dim.AUTO}
    images = example_images(network, options)
    try:
        with torch.no_grad(), quietly():
            program = torch.export.export(
                network,
                (images,),
                dynamic_shapes=(sizes,) if options.dynamic else None,
            )
    except (RuntimeError, ValueError, TypeError, AssertionError) as error:
        raise LookwiderError(_cannot_trace(options, str(error))) from error
    free = [found for found in program.range_constraints.values() if found.upper > MANY]
    if options.dynamic and len(free) < 3:
        raise LookwiderError(_cannot_trace(options, "it keeps the traced size"))
    return program


def least_side(program: ExportedProgram, network: ExportableNetwork, options: Options) -> int:
    """Return the least height and width that a program takes, found by trying.

    Where it was traced with several cells, `torch.export` guards against a single one.
    """
    if not options.dynamic:
        return 1
    module = program.module()

    def takes(side: int) -> bool:
        images = example_images(network, dataclasses.replace(options, size=(side, side)))
        try:
            with torch.inference_mode():
                module(images[:1])
        except (AssertionError, RuntimeError):  # of a guard
            return False
        return True

    return 1 + bisect.bisect_left(range(1, max(options.size)), True, key=takes)


def traced_script(network: ExportableNetwork, options: Options) -> torch.jit.ScriptModule:
    """Trace by TorchScript; sizes stay free, for the network has no step that depends on them.

    Raises:
        LookwiderError: the trunk cannot be traced.
    """
    images = example_images(network, options)
    try:
        with torch.no_grad(), quietly():
            trace = cast(Callable[..., torch.jit.ScriptModule], torch.jit.trace)
            return trace(network, images)
    except (RuntimeError, ValueError, TypeError) as error:
        raise LookwiderError(_cannot_trace(options, str(error))) from error


def _cannot_trace(options: Options, reason: str) -> str:
    first = reason.strip().splitlines()[0] if reason.strip() else "no reason given"
    fix = (
        "export a single size: --fixed --size HEIGHTxWIDTH"
        if options.dynamic
        else "use another size, backbone or format"
    )
    return f"PyTorch cannot trace this network for {options.format}: {first}; {fix}"


@contextmanager
def quietly() -> Iterator[None]:
    """Hide what PyTorch says of its own future: it is nothing that the user could change."""
    optimiser = logging.getLogger("onnxscript")
    level = optimiser.level
    optimiser.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optimiser.setLevel(level)
