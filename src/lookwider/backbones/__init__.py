"""Fully convolutional trunks that declare their channels, strides and where their cells lie."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from lookwider.backbones import alexnet, googlenet, vgg
from lookwider.backbones.contract import Backbone, Features
from lookwider.backbones.dilation import Dilation
from lookwider.backbones.timm_trunk import PSP_RESNETS, StrideOn, TimmBackbone, timm_strides
from lookwider.backbones.vgg import Style
from lookwider.errors import ConfigError

__all__ = [
    "BACKBONES",
    "PSP_RESNETS",
    "Backbone",
    "Dilation",
    "Features",
    "StrideOn",
    "Style",
    "create_backbone",
    "stride_layers",
]

BACKBONES: dict[str, Callable[..., Backbone]] = {
    "alexnet": cast(Callable[..., Backbone], alexnet.alexnet),
    "googlenet": cast(Callable[..., Backbone], googlenet.googlenet),
    "googlenet_torchvision": cast(Callable[..., Backbone], googlenet.googlenet_torchvision),
    "vgg16": cast(Callable[..., Backbone], vgg.vgg16),
    "vgg16_largefov": cast(Callable[..., Backbone], vgg.vgg16_largefov),
}
"""The trunks that lookwider builds itself; every other name is timm's."""

_STRIDES = {
    "alexnet": alexnet.STRIDES,
    "googlenet": googlenet.STRIDES,
    "googlenet_torchvision": googlenet.STRIDES,
    "vgg16": vgg.STRIDES,
    "vgg16_largefov": vgg.LARGEFOV_STRIDES,
}


def stride_layers(name: str, in_channels: int = 3) -> dict[int, str]:
    """Return stride -> name of the map to score there, fine to coarse.

    Raises:
        ConfigError: the trunk is unknown.
    """
    return _STRIDES[name] if name in _STRIDES else timm_strides(name, in_channels)


def create_backbone(
    name: str,
    *,
    layers: Sequence[str] | None = None,
    style: Style = "same",
    in_channels: int = 3,
    pretrained: bool = False,
    output_stride: int | None = None,
    dilation: Dilation = "published",
    stride_on: StrideOn = "3x3",
) -> Backbone:
    """Return a trunk by name: one of `BACKBONES`, or any model of timm.

    Args:
        name: the trunk's name.
        layers: the maps to return; None for the trunk's usual ones.
        style: ``"released"`` pads 100 pixels as the published FCNs (alexnet and vgg16 only).
        in_channels: bands of the image.
        pretrained: start from ImageNet weights.
        output_stride: dilate the trunk so that no map is coarser (timm's and PSPNet's trunks).
        dilation: what is done to the layers that no longer stride.
        stride_on: where bottlenecks stride.

    Raises:
        ConfigError: the name or a layer is unknown, or the trunk has no released style or
            cannot be dilated.
    """
    options: dict[str, Any] = {"in_channels": in_channels, "pretrained": pretrained}
    if pretrained and in_channels != 3 and name in BACKBONES:
        raise ConfigError(
            f"pretrained=true: {name}'s ImageNet weights are for 3 bands, got {in_channels}; "
            "use a timm backbone, which spreads them over the bands"
        )
    if layers is not None:
        options["layers"] = layers
    if name in ("alexnet", "vgg16"):
        _check_undilated(name, output_stride, stride_on)
        return BACKBONES[name](style=style, **options)
    if style == "released":
        raise ConfigError(f"style='released' exists for alexnet and vgg16, got backbone {name!r}")
    if name in BACKBONES:
        _check_undilated(name, output_stride, stride_on)
        return BACKBONES[name](**options)
    options |= {"output_stride": output_stride, "dilation": dilation, "stride_on": stride_on}
    return cast(Backbone, TimmBackbone(name, **options))


def _check_undilated(name: str, output_stride: int | None, stride_on: StrideOn) -> None:
    """Refuse to dilate the chains, which are as their papers have them."""
    coarsest = max(_STRIDES[name])
    if (output_stride or coarsest) < coarsest or stride_on != "3x3":
        raise ConfigError(
            f"output_stride={output_stride}, stride_on={stride_on!r}: {name} has a stride of "
            f"{coarsest} and stays as published; use vgg16_largefov (stride 8), resnet50_psp or "
            "a timm trunk"
        )
