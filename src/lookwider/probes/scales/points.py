"""Where a network's feature scales are measured: layers, and before and after normalisation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lookwider.context import GlobalContext, PyramidContext
from lookwider.errors import ConfigError, LookwiderError
from lookwider.layers.l2_norm import L2Norm
from lookwider.layers.receptive_fields import TracedLayer
from lookwider.models import Segmenter
from lookwider.probes.network import SCORES, Network
from lookwider.probes.submodules import find_submodule, output_of

Stage = Literal["output", "input", "normalised", "scaled"]
"""A layer's output; or what goes into a part that fuses context, that after L2 normalisation
before the learned scale, and that after the scale."""

MOST_LAYERS = 12
"""Convolutions that are measured of a module whose layers are not named."""


@dataclass(frozen=True)
class Point:
    """One place to measure.

    Attributes:
        layer: full name of the part.
        stage: what of it.
        of: what the part works on, in words, where the name does not say it.
        placed: whether its values are known to be a map, (N, C, h, w).
    """

    layer: str
    stage: Stage
    of: str = ""
    placed: bool = field(default=True, compare=False)

    @property
    def title(self) -> str:
        """Name and stage in words."""
        return (
            f"{self.layer} ({self.of}), {self.words}" if self.of else f"{self.layer}, {self.words}"
        )

    @property
    def short(self) -> str:
        """What the part works on, or its name without what many names begin with."""
        if self.of:
            return self.of
        name = self.layer.removeprefix("backbone.").removeprefix("network.")
        return name.removeprefix("context.") or "the network"

    @property
    def words(self) -> str:
        """The stage in a word."""
        return {"input": "before", "output": "after" if self.of else "output"}.get(
            self.stage, self.stage
        )


Found = Callable[[Point, Tensor], None]
"""Told of what was found at a place."""


def measuring_points(
    network: Network, layers: Sequence[str] | None, size: tuple[int, int]
) -> tuple[Point, ...]:
    """Return where to measure: layers first, then every part that normalises or fuses.

    Args:
        network: any.
        layers: their names, `SCORES` among them; None for the trunk's stages, or for at most
            `MOST_LAYERS` convolutions of a module that is no `Segmenter`; none for the fusing
            parts alone.
        size: (height, width) of an image.

    Raises:
        ConfigError: a layer is unknown, or there is nothing to measure.
    """
    if layers is not None:
        names = [_full_name(network, layer) for layer in layers]
    elif network.segmenter is not None:
        names = _trunk_stages(network, size)
    else:
        names = _convolutions(network.module)
    maps = network.fields(size) if layers else dict.fromkeys(names)
    points = [Point(name, "output", placed=name in maps) for name in dict.fromkeys(names)]
    fused = {} if network.segmenter is None else _fused_parts(network.segmenter)
    for name, part in network.module.named_modules():
        stages: tuple[Stage, ...] = ()
        if isinstance(part, L2Norm):
            stages = ("input", "normalised", "scaled")
        elif name in fused:
            stages = ("input", "output")
        points += [Point(name, stage, fused.get(name, "")) for stage in stages]
    if not points:
        raise ConfigError(
            f"{network.name} has no convolution to measure; name layers (layers=, --layers)"
        )
    return tuple(dict.fromkeys(points))


def _full_name(network: Network, layer: str) -> str:
    return SCORES if layer == SCORES else find_submodule(network, layer)[0]


def _fused_parts(model: Segmenter) -> dict[str, str]:
    """Return the parts that a context's maps go through, and which maps in words."""
    layers, context = model.backbone.layers, model.context
    if isinstance(context, GlobalContext):
        local = {f"context.local_norms.{i}": layers[at] for i, at in enumerate(context.local)}
        return local | {
            f"context.global_norms.{i}": f"average of {layers[at]}"
            for i, at in enumerate(context.pooled)
        }
    if isinstance(context, PyramidContext):
        return {
            f"context.branches.{i}": f"{bins} x {bins} regions of {layers[-1]}"
            for i, bins in enumerate(context.bins)
        }
    return {}


def _trunk_stages(network: Network, size: tuple[int, int]) -> list[str]:
    """Return the trunk's maps before each pooling and each change of channels or stride.

    ParseNet's conv4_3, conv5_3 and fc7 are among VGG16's, layer1 to layer4 among a ResNet's.
    """
    fields, parts = network.fields(size), dict(network.module.named_modules())
    trunk = "backbone.network" if "backbone.network" in parts else "backbone"
    children = [(f"{trunk}.{name}", part) for name, part in parts[trunk].named_children()]
    maps = [(name, part) for name, part in children if name in fields]
    found = []
    for (name, part), (after, following) in zip(maps, [*maps[1:], ("", None)], strict=True):
        ends = following is None or _is_pool(following) or _differ(fields[name], fields[after])
        if ends and not _is_pool(part):
            found.append(name)
    return found or [name for name in fields if name.startswith("backbone[")]


def _differ(layer: TracedLayer, other: TracedLayer) -> bool:
    return layer.shape != other.shape


def _is_pool(part: nn.Module) -> bool:
    return "pool" in type(part).__name__.lower()


def _convolutions(module: nn.Module) -> list[str]:
    """Return at most `MOST_LAYERS` convolutions, the first and last among them."""
    names = [name for name, part in module.named_modules() if isinstance(part, nn.Conv2d) and name]
    if len(names) <= MOST_LAYERS:
        return names
    step = (len(names) - 1) / (MOST_LAYERS - 1)
    return [names[round(i * step)] for i in range(MOST_LAYERS)]


@contextmanager
def measuring(network: Network, points: Sequence[Point], found: Found) -> Iterator[None]:
    """Tell ``found`` of every place's values whenever the network is run.

    A part that is run several times is told of several times.
    """
    parts = {SCORES: network.whole, **dict(network.module.named_modules())}
    by_layer: dict[str, list[Point]] = {}
    for point in points:
        by_layer.setdefault(point.layer, []).append(point)
    handles = [
        parts[layer.partition("[")[0]].register_forward_hook(_hook(own, found))
        for layer, own in by_layer.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _hook(points: Sequence[Point], found: Found) -> Callable[[nn.Module, Any, Any], None]:
    def hook(part: nn.Module, inputs: Any, output: Any) -> None:
        for point in points:
            values = inputs[0] if point.stage in ("input", "normalised") else output
            if point.stage == "output":
                values = output_of(point.layer, output)
            if point.stage == "normalised":
                assert isinstance(part, L2Norm)
                values = _normalised(part, values)
            _check(point, values)
            found(point, values)

    return hook


def _normalised(norm: L2Norm, features: Tensor) -> Tensor:
    """Return what `L2Norm` computes before it multiplies by its scales."""
    wide = features.double()
    return wide * (wide.square().sum(norm.axes, keepdim=True) + norm.eps).rsqrt()


def _check(point: Point, values: Tensor) -> None:
    map_like = point.placed or values.shape[2:] in ((), (1, 1))
    if values.dim() not in (2, 4) or not map_like:
        raise LookwiderError(
            f"{point.layer}: got values of shape {tuple(values.shape)}, expected a map (N, C, h, "
            "w), or (N, C) of the whole image, with the channels second; name other layers "
            "(layers=, --layers)"
        )
    if not torch.isfinite(values).all():
        wrong = int((~torch.isfinite(values)).sum())
        raise LookwiderError(
            f"{point.title}: {wrong} of {values.numel()} features are NaN or infinite; the "
            "weights or the image are damaged, or the training diverged"
        )
