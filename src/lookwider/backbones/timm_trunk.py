"""Any timm model as a trunk."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import timm
import torch
from timm.models import FeatureInfo
from torch import Tensor, nn
from torch.nn import functional

from lookwider.backbones.contract import Features, chosen_layers
from lookwider.backbones.dilation import Dilation, dilate, move_strides_to_1x1
from lookwider.backbones.pretrained import fetched
from lookwider.backbones.sizes import cell_grids, refusal, size_multiple
from lookwider.errors import ConfigError, LookwiderError, check_choice, closest
from lookwider.layers.grids import Grid
from lookwider.preprocessing import Preprocessing, default_preprocessing

OWN_NAMES = ("alexnet", "googlenet", "googlenet_torchvision", "vgg16", "vgg16_largefov")
"""Trunks that lookwider builds itself."""

_DEEP_STEM = {"stem_type": "deep", "stem_width": 64}
PSP_RESNETS: dict[str, tuple[str, dict[str, Any]]] = {
    "resnet50_psp": ("resnet50", _DEEP_STEM),
    "resnet101_psp": ("resnet101", _DEEP_STEM),
    "resnet152_psp": ("resnet152", _DEEP_STEM),
    "resnet269_psp": ("resnet152", {**_DEEP_STEM, "layers": (3, 30, 48, 8)}),
}
"""PSPNet's ResNets, whose first layer is three 3 x 3 convolutions of 64, 64 and 128 channels:
name -> timm's model and what is changed in it."""

StrideOn = Literal["3x3", "1x1"]
"""Where bottlenecks stride: in the 3 x 3 convolution, or in the 1 x 1 before it."""


class TimmBackbone(nn.Module):
    """A timm model with ``features_only``: one map per stage, by timm's names (``layer1``, ...).

    Images that the trunk would round down are padded at the bottom and right (with zeros, the
    mean colour), so every size gets in and ``ceil(H / stride)`` cells come out. Some trunks of
    timm take less: those made for one size, or those that cannot take very small images.

    Args:
        name: the model's name in timm, e.g. ``"resnet18"`` or ``"convnext_tiny.fb_in1k"``, or
            one of `PSP_RESNETS`.
        layers: the maps to return, or None for the last of each stride.
        in_channels: bands of the image.
        pretrained: start from timm's ImageNet weights.
        output_stride: dilate the trunk so that no map is coarser; None to leave it as it is.
        dilation: what is done to the layers that no longer stride.
        stride_on: where bottlenecks stride.

    Raises:
        ConfigError: timm knows no such model, it has no such layer or no weights, it cannot be
            dilated, or takes no image of 224 x 224.
    """

    def __init__(
        self,
        name: str,
        layers: Sequence[str] | None = None,
        *,
        in_channels: int = 3,
        pretrained: bool = False,
        output_stride: int | None = None,
        dilation: Dilation = "published",
        stride_on: StrideOn = "3x3",
    ) -> None:
        super().__init__()
        self.name = name
        check_choice("stride_on", stride_on, get_args(StrideOn))
        check_choice("dilation", dilation, get_args(Dilation))
        if output_stride is not None and output_stride < 1:
            raise ConfigError(f"got output_stride={output_stride}, expected 8, 16 or 32")
        if pretrained and name in PSP_RESNETS:
            raise ConfigError(
                f"pretrained=true: there are no ImageNet weights of {name}'s deep stem by name; "
                "use the timm trunk without it (backbone="
                f"{name.removesuffix('_psp')}), or init_from= a converted checkpoint"
            )
        known = _stages(name, in_channels)
        wanted = list(timm_strides(name, in_channels).values()) if layers is None else layers
        self.layers = chosen_layers(name, wanted, list(known))
        form = _Form(name, self.layers, in_channels, output_stride, dilation, stride_on)
        self.network = _network(form, pretrained=pretrained)
        self.channels_last = getattr(self.network, "output_fmt", "NCHW") == "NHWC"
        self.channels = tuple(int(c) for c in _info(self.network).channels())
        self.preprocessing = _preprocessing(name, in_channels)
        self.grids, self.multiple = _geometry(form)

    def forward(self, images: Tensor) -> Features:
        """Return the maps of the chosen layers.

        Shape:
            (N, C, H, W) -> a tuple of (N, C_i, h_i, w_i), at least ceil(H / stride_i) high.

        Raises:
            LookwiderError: this trunk takes no images of that size.
        """
        height, width = images.shape[-2:]
        bottom, right = -height % self.multiple, -width % self.multiple
        if bottom or right:
            images = functional.pad(images, (0, right, 0, bottom))
        if torch.compiler.is_compiling():
            maps = self.network(images)
        else:
            try:
                maps = self.network(images)
            except (AssertionError, RuntimeError):
                reason = refusal(self.network, tuple(images.shape))
                if reason is None:  # not for its size
                    raise
                raise LookwiderError(
                    f"the trunk {self.name} takes no images of {height}x{width} pixels ({reason}); "
                    "give it images of another size, or choose another backbone"
                ) from None
        return tuple(m.permute(0, 3, 1, 2) if self.channels_last else m for m in maps)


def unknown_backbone(name: str) -> str:
    """Return the message for a trunk that neither lookwider nor timm has."""
    near = timm.list_models(f"*{name}*")[:8]
    known = [*OWN_NAMES, *(near or timm.list_models())]
    match = closest(name, known)
    hint = f"; did you mean {match!r}?" if match else ""
    shown = ", ".join([*OWN_NAMES, *near])
    return f"unknown backbone {name!r}{hint} known: {shown}, and every name of timm.list_models()"


@dataclass(frozen=True)
class _Form:
    """What a trunk is made of, but for its weights; see `TimmBackbone`."""

    name: str
    layers: tuple[str, ...]
    in_channels: int
    output_stride: int | None
    dilation: Dilation
    stride_on: StrideOn

    def known(self) -> dict[str, int]:
        """Return the strides of all layers, before anything is dilated."""
        return _stages(self.name, self.in_channels)

    def strides(self) -> list[int]:
        """Return those of the chosen layers, dilated."""
        known = self.known()
        return [min(known[layer], self.output_stride or known[layer]) for layer in self.layers]


def _network(form: _Form, *, pretrained: bool = False) -> nn.Module:
    """Create the features-only model of some layers, dilated, striding where it should."""
    known = form.known()
    indices = [list(known).index(layer) for layer in form.layers]
    network = _create(form.name, form.in_channels, pretrained=pretrained, out_indices=indices)
    coarsest = max(known[layer] for layer in form.layers)
    if form.output_stride is not None and form.output_stride < coarsest:
        dilate(
            network,
            form.output_stride,
            form.dilation,
            in_channels=form.in_channels,
            name=form.name,
        )
    if form.stride_on == "1x1":  # of the strides that are left, as in the dilated release
        move_strides_to_1x1(network)
    return network


@functools.cache  # following every layer takes longer than building the network
def _geometry(form: _Form) -> tuple[tuple[Grid, ...], int]:
    """Return where the maps' cells lie, and what sizes of images must divide."""
    with torch.device("meta"):
        network = _network(form)
    if (reason := refusal(network, (1, form.in_channels, 224, 224))) is not None:
        raise ConfigError(
            f"got the backbone {form.name}, expected one that takes images of many sizes: it takes "
            f"none of 224x224 pixels ({reason}); choose another"
        )
    strides, bands = form.strides(), form.in_channels
    return cell_grids(network, strides, bands), size_multiple(network, strides, bands)


def _create(
    name: str, in_channels: int, *, pretrained: bool, out_indices: list[int] | None
) -> nn.Module:
    """Create the features-only model; those made for one image size are told to take any."""
    name, changes = PSP_RESNETS.get(name, (name, {}))

    def build(**switches: bool) -> nn.Module:
        def create() -> nn.Module:
            model: nn.Module = timm.create_model(
                name,
                features_only=True,
                pretrained=pretrained,
                in_chans=in_channels,
                out_indices=out_indices,
                **{**switches, **changes},  # timm hands them to the architecture
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
    """Return stride -> name of the deepest map of that stride of a timm model, fine to coarse.

    Raises:
        ConfigError: timm knows no such model.
    """
    deepest = {stride: layer for layer, stride in _stages(name, in_channels).items()}
    return dict(sorted(deepest.items()))


@functools.cache
def _stages(name: str, in_channels: int) -> dict[str, int]:
    """Return name -> stride of the model's maps, in its order."""
    if name not in PSP_RESNETS and not timm.is_model(name):
        raise ConfigError(unknown_backbone(name))
    with torch.device("meta"):
        info = _info(_create(name, in_channels, pretrained=False, out_indices=None))
    return {
        layer: int(stride)
        for layer, stride in zip(info.module_name(), info.reduction(), strict=True)
    }


def _preprocessing(name: str, in_channels: int) -> Preprocessing:
    config = None if name in PSP_RESNETS else timm.get_pretrained_cfg(name)
    if in_channels != 3 or config is None:
        return default_preprocessing(in_channels)
    return Preprocessing(tuple(config.mean), tuple(config.std))
