"""Any timm model as a trunk."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import timm
import torch
from timm.models import FeatureInfo
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from lookwider.backbones.contract import Features, chosen_layers
from lookwider.backbones.pretrained import fetched
from lookwider.errors import ConfigError, closest
from lookwider.layers.grids import Grid
from lookwider.layers.receptive_fields import trace_fields
from lookwider.preprocessing import Preprocessing, default_preprocessing

OWN_NAMES = ("alexnet", "googlenet", "googlenet_torchvision", "vgg16")
"""Trunks that lookwider builds itself."""


class TimmBackbone(nn.Module):
    """A timm model with ``features_only``: one map per stride, named ``stride4``, ``stride8``, ...

    Images that the trunk would round down are padded at the bottom and right (with zeros, the
    mean colour), so every size gets in and ``ceil(H / stride)`` cells come out.

    Args:
        name: the model's name in timm, e.g. ``"resnet18"`` or ``"convnext_tiny.fb_in1k"``.
        layers: the maps to return, or None for all.
        in_channels: bands of the image.
        pretrained: start from timm's ImageNet weights.

    Raises:
        ConfigError: timm knows no such model, or it has no such layer.
    """

    def __init__(
        self,
        name: str,
        layers: Sequence[str] | None = None,
        *,
        in_channels: int = 3,
        pretrained: bool = False,
    ) -> None:
        super().__init__()
        known = timm_strides(name, in_channels)
        names = list(known.values())
        self.layers = chosen_layers(name, names if layers is None else layers, names)
        reductions = [stride for stride, layer in known.items() if layer in self.layers]
        indices = [_last_index(name, stride, in_channels) for stride in reductions]
        self.network = _create(name, in_channels, pretrained=pretrained, out_indices=indices)
        self.channels_last = getattr(self.network, "output_fmt", "NCHW") == "NHWC"
        self.channels = tuple(int(c) for c in _info(self.network).channels())
        self.grids = _grids(self.network, reductions, in_channels)
        self.preprocessing = _preprocessing(name, in_channels)
        self.multiple = _size_multiple(self.network, reductions, in_channels)

    def forward(self, images: Tensor) -> Features:
        """Return the maps of the chosen layers.

        Shape:
            (N, C, H, W) -> a tuple of (N, C_i, h_i, w_i), at least ceil(H / stride_i) high.
        """
        height, width = images.shape[-2:]
        bottom, right = -height % self.multiple, -width % self.multiple
        if bottom or right:
            images = functional.pad(images, (0, right, 0, bottom))
        maps = self.network(images)
        return tuple(m.permute(0, 3, 1, 2) if self.channels_last else m for m in maps)


def unknown_backbone(name: str) -> str:
    """Return the message for a trunk that neither lookwider nor timm has."""
    near = timm.list_models(f"*{name}*")[:8]
    known = [*OWN_NAMES, *(near or timm.list_models())]
    match = closest(name, known)
    hint = f"; did you mean {match!r}?" if match else ""
    shown = ", ".join([*OWN_NAMES, *near])
    return f"unknown backbone {name!r}{hint} known: {shown}, and every name of timm.list_models()"


def _create(
    name: str, in_channels: int, *, pretrained: bool, out_indices: list[int] | None
) -> nn.Module:
    """Create the features-only model; those made for one image size are told to take any."""

    def build(**switches: bool) -> nn.Module:
        def create() -> nn.Module:
            model: nn.Module = timm.create_model(
                name,
                features_only=True,
                pretrained=pretrained,
                in_chans=in_channels,
                out_indices=out_indices,
                **switches,  # type: ignore[arg-type]  # timm hands them to the architecture
            )
            return model

        return fetched(f"timm's {name}", create) if pretrained else create()

    config = timm.get_pretrained_cfg(name)
    if config is not None and config.fixed_input_size:
        for switch in ("strict_img_size", "dynamic_img_size"):
            try:
                return build(**{switch: switch == "dynamic_img_size"})
            except TypeError:  # this architecture has no such switch
                continue
    return build()


def _info(network: nn.Module) -> FeatureInfo:
    info = network.feature_info
    assert isinstance(info, FeatureInfo)
    return info


def timm_strides(name: str, in_channels: int = 3) -> dict[int, str]:
    """Return stride -> layer name of a timm model, fine to coarse.

    Raises:
        ConfigError: timm knows no such model.
    """
    return {stride: f"stride{stride}" for stride in sorted(set(_reductions(name, in_channels)))}


def _last_index(name: str, stride: int, in_channels: int) -> int:
    """Return the deepest of the model's maps that has this stride."""
    reductions = _reductions(name, in_channels)
    return len(reductions) - 1 - reductions[::-1].index(stride)


@functools.cache
def _reductions(name: str, in_channels: int) -> tuple[int, ...]:
    if not timm.is_model(name):
        raise ConfigError(unknown_backbone(name))
    with torch.device("meta"):
        model = _create(name, in_channels, pretrained=False, out_indices=None)
    return tuple(int(stride) for stride in _info(model).reduction())


def _grids(network: nn.Module, strides: list[int], in_channels: int) -> tuple[Grid, ...]:
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


def _preprocessing(name: str, in_channels: int) -> Preprocessing:
    config = timm.get_pretrained_cfg(name)
    if in_channels != 3 or config is None:
        return default_preprocessing(in_channels)
    return Preprocessing(tuple(config.mean), tuple(config.std))


def _size_multiple(network: nn.Module, strides: list[int], in_channels: int) -> int:
    """Return 1 when a trunk rounds sizes up by itself, else the stride that sizes must divide."""
    size = 2 * max(strides) + 1
    state = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    shapes = {name: torch.empty_like(t, device="meta") for name, t in state.items()}
    image = torch.empty(1, in_channels, size, size, device="meta")
    try:
        maps = functional_call(network.eval(), shapes, (image,))
    except (AssertionError, RuntimeError):
        return max(strides)
    finally:
        network.train()
    rounded_up = all(m.shape[-2] >= -(-size // s) for m, s in zip(maps, strides, strict=True))
    return 1 if rounded_up else max(strides)
