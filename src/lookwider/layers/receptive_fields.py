"""Theoretical receptive fields of any layer of any module, traced through what it executes.

Size and stride follow the rule of FCN (Long et al. 2015, section 3.1): layers compose as
``size + (kernel - 1) * stride`` and ``stride * stride``. The place of the first cell composes
alike, and from it follow all crops.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from lookwider.layers.field_rules import Field, fields_after, is_window
from lookwider.layers.modes import evaluating


@dataclass(frozen=True)
class TracedLayer:
    """One layer's output.

    Attributes:
        shape: (N, C, h, w) at the traced image size.
        rows: what a cell sees from top to bottom.
        cols: what a cell sees from left to right.
    """

    shape: tuple[int, ...]
    rows: Field
    cols: Field


def trace_fields(
    module: nn.Module, in_channels: int = 3, size: tuple[int, int] = (512, 512)
) -> dict[str, TracedLayer]:
    """Return the receptive fields of every submodule's output, by its name; "" is the module's.

    The module is executed on tensors without data, so this costs neither time nor memory. Modules
    that return several maps are listed as ``name[0]``, ``name[1]``, ...; those whose output is no
    map of the image are left out.

    Args:
        module: any module that maps (N, C, H, W) images to maps.
        in_channels: bands of the image.
        size: (height, width) of the image to trace; any that the module accepts.
    """
    found: dict[str, TracedLayer] = {}
    tracer = _Tracer()

    def record(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            for suffix, tensor in _named_tensors(output):
                fields = tracer.fields.get(tensor)
                if fields is not None and all(math.isfinite(field.stride) for field in fields):
                    found[name + suffix] = TracedLayer(tuple(tensor.shape), *fields)

        return hook

    handles = [m.register_forward_hook(record(name)) for name, m in module.named_modules()]
    try:
        with evaluating(module), torch.no_grad(), tracer:
            state = {**dict(module.named_parameters()), **dict(module.named_buffers())}
            dtype = next((t.dtype for t in state.values() if t.is_floating_point()), None)
            image = torch.empty(1, in_channels, *size, device="meta", dtype=dtype)
            tracer.fields[image] = (Field(), Field())
            shapes = {name: torch.empty_like(t, device="meta") for name, t in state.items()}
            functional_call(module, shapes, (image,))
    finally:
        for handle in handles:
            handle.remove()
    return found


class _Tracer(TorchFunctionMode):
    """Carries the fields of each tensor through the functions that are called on it."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: Any = WeakTensorKeyDictionary()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        known = [self.fields[t] for t in _tensors([args, kwargs]) if t in self.fields]
        if known:
            fields = fields_after(func, args, kwargs, known)
            for tensor in _tensors(result):
                if tensor not in self.fields or is_window(func):
                    self.fields[tensor] = fields
        return result


def _tensors(values: Any) -> Iterator[Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, Mapping):
        for value in values.values():
            yield from _tensors(value)
    elif isinstance(values, (list, tuple)):
        for value in values:
            yield from _tensors(value)


def _named_tensors(output: Any) -> Iterator[tuple[str, Tensor]]:
    if isinstance(output, Tensor):
        yield "", output
    elif isinstance(output, Mapping):
        yield from (
            (f"[{key}]", value) for key, value in output.items() if isinstance(value, Tensor)
        )
    elif isinstance(output, (list, tuple)):
        yield from (
            (f"[{i}]", value) for i, value in enumerate(output) if isinstance(value, Tensor)
        )
