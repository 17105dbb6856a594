"""What every trunk declares: which maps it gives, how wide they are and where their cells lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor, nn

from lookwider.errors import ConfigError, unknown_name
from lookwider.layers.grids import Grid
from lookwider.layers.receptive_fields import trace_fields
from lookwider.preprocessing import Preprocessing

Features = tuple[Tensor, ...]
"""Feature maps (N, C_i, h_i, w_i), fine to coarse, in the order of the trunk's ``layers``."""


class Backbone(Protocol):
    """A trunk: images (N, C, H, W) of any size to feature maps, fine to coarse.

    Attributes:
        layers: the names of the maps.
        channels: their widths.
        grids: where their cells lie in the image.
        preprocessing: what the weights expect of an image.
    """

    layers: tuple[str, ...]
    channels: tuple[int, ...]
    grids: tuple[Grid, ...]
    preprocessing: Preprocessing

    def __call__(self, images: Tensor) -> Features:
        """Return the feature maps."""
        ...


def strides(backbone: Backbone) -> tuple[int, ...]:
    """Return the strides of a trunk's maps, in pixels."""
    return tuple(int(grid.stride) for grid in backbone.grids)


def traced_layers(
    module: nn.Module, names: Sequence[str], in_channels: int
) -> tuple[tuple[int, ...], tuple[Grid, ...]]:
    """Return the channels and grids of these submodules' outputs, traced through the module."""
    traced = trace_fields(module, in_channels, size=(224, 224))
    return (
        tuple(traced[name].shape[1] for name in names),
        tuple(traced[name].rows.grid for name in names),
    )


def chosen_layers(backbone: str, layers: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Return the layers in the network's order.

    Raises:
        ConfigError: a layer is unknown (lists the names and the closest), or none was asked for.
    """
    if not layers:
        raise ConfigError(f"{backbone} needs at least one layer, known: {', '.join(known)}")
    for layer in layers:
        if layer not in known:
            raise ConfigError(unknown_name(f"layer of {backbone}", layer, known))
    return tuple(name for name in known if name in layers)
