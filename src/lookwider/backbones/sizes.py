"""What sizes of images a trunk takes, and where the cells of its maps lie."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call

from lookwider.layers.grids import Grid
from lookwider.layers.modes import evaluating
from lookwider.layers.receptive_fields import trace_fields


def cell_grids(network: nn.Module, strides: list[int], in_channels: int) -> tuple[Grid, ...]:
    """Return where the maps' cells lie.

    Windows that were cut out by reshaping, as transformers do, cannot be traced: their cells are
    squares of ``stride`` pixels side by side.
    """
    traced = trace_fields(network, in_channels, size=(224, 224))
    grids = []
    for index, stride in enumerate(strides):
        layer = traced.get(f"[{index}]")
        if layer is not None and layer.rows.stride == layer.cols.stride == stride:
            grids.append(layer.rows.grid)
        else:
            grids.append(Grid(stride, (stride - 1) / 2))
    return tuple(grids)


def size_multiple(network: nn.Module, strides: list[int], in_channels: int) -> int:
    """Return 1 when a trunk rounds sizes up by itself, else the stride that sizes must divide."""
    size = 2 * max(strides) + 1
    try:
        maps = _on_meta(network, (1, in_channels, size, size))
    except (AssertionError, RuntimeError):
        return max(strides)
    rounded_up = all(m.shape[-2] >= -(-size // s) for m, s in zip(maps, strides, strict=True))
    return 1 if rounded_up else max(strides)


def refusal(network: nn.Module, shape: tuple[int, ...]) -> str | None:
    """Return why a trunk takes no images of a shape, or None when it does."""
    try:
        _on_meta(network, shape)
    except (AssertionError, RuntimeError) as error:
        return str(error).partition("\n")[0]
    return None


def _on_meta(network: nn.Module, shape: tuple[int, ...]) -> list[Tensor]:
    """Return the maps of an image, without any values."""
    state = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    shapes = {name: torch.empty_like(t, device="meta") for name, t in state.items()}
    with evaluating(network):
        maps: list[Tensor] = functional_call(network, shapes, torch.empty(shape, device="meta"))
    return maps
