"""Theoretical receptive fields of any layer of any module, traced through what it executes.

Size and stride follow the rule of FCN (Long et al. 2015, section 3.1): layers compose as
``size + (kernel - 1) * stride`` and ``stride * stride``. The place of the first cell composes
alike, and from it follow all crops. Besides this law, which counts padding as pixels, the pixels
that each cell sees are followed one by one. They are the first and the last along each axis, so
a field of another shape than a rectangle is told by the rectangle around it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from lookwider.layers.field_axes import Axis, Field
from lookwider.layers.field_rules import seen_after, sources, tensors_in
from lookwider.layers.field_seen import Seen, united
from lookwider.layers.modes import evaluating


@dataclass(frozen=True, eq=False)
class TracedLayer:
    """One layer's output.

    Attributes:
        shape: (N, C, h, w) at the traced image size.
        rows: what a cell sees from top to bottom, by the law.
        cols: what a cell sees from left to right, by the law.
        row_axis: which pixels each row of cells sees.
        col_axis: which pixels each column of cells sees.
    """

    shape: tuple[int, ...]
    rows: Field
    cols: Field
    row_axis: Axis
    col_axis: Axis


def trace_fields(
    module: nn.Module,
    in_channels: int = 3,
    size: tuple[int, int] = (512, 512),
    *,
    device: torch.device | None = None,
) -> dict[str, TracedLayer]:
    """Return the receptive fields of every submodule's output, by its name; "" is the module's.

    The module is executed on tensors without data, so this costs neither time nor memory. Modules
    that return several maps are listed as ``name[0]``, ``name[1]``, ...; those whose output is no
    map of the image are left out.

    Args:
        module: any module that maps (N, C, H, W) images to maps.
        in_channels: bands of the image.
        size: (height, width) of the image to trace; any that the module accepts.
        device: where the module is, to execute it on an image of zeros there; needed of modules
            that decide by values, which tensors without data do not have.
    """
    found: dict[str, TracedLayer] = {}
    tracer = _Tracer()

    def record(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            for suffix, tensor in named_tensors(output):
                seen = tracer.seen.get(tensor)
                if seen is not None and seen.dims == (-2, -1) and seen.rank == 4:
                    fields = [axis.field for axis in seen.axes]
                    layer = TracedLayer(tuple(tensor.shape), *fields, *seen.axes)
                    found[name + suffix] = layer

        return hook

    handles = [m.register_forward_hook(record(name)) for name, m in module.named_modules()]
    try:
        with evaluating(module), torch.no_grad(), tracer:
            state = {**dict(module.named_parameters()), **dict(module.named_buffers())}
            dtype = next((t.dtype for t in state.values() if t.is_floating_point()), None)
            image = torch.zeros(1, in_channels, *size, device=device or "meta", dtype=dtype)
            tracer.seen[image] = Seen(Axis.pixels(size[0]), Axis.pixels(size[1]))
            if device is not None:
                module(image)
                return found
            shapes = {name: torch.empty_like(t, device="meta") for name, t in state.items()}
            functional_call(module, shapes, (image,))
    finally:
        for handle in handles:
            handle.remove()
    return found


class _Tracer(TorchFunctionMode):
    """Carries what each tensor sees through the functions that are called on it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Any = WeakTensorKeyDictionary()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        known = [self.seen[t] for t in sources(func, args, kwargs) if t in self.seen]
        if known and func is Tensor.__setitem__:
            self.seen[args[0]] = united(known).blurred(args[0].shape)
        elif known:
            for tensor in tensors_in(result):
                self.seen[tensor] = seen_after(func, args, kwargs, known, tensor)
        return result


def named_tensors(output: Any) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of a module's output and what tells them apart: "", "[0]", "[out]"."""
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
