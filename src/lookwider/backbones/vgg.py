"""VGG16 (Simonyan and Zisserman 2015) made fully convolutional, as FCN's section 4.1 does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from lookwider.backbones.chain import ChainBackbone, ConvReLU
from lookwider.backbones.pretrained import torchvision_weights
from lookwider.preprocessing import CAFFE_VOC, Preprocessing, default_preprocessing

Style = Literal["same", "released"]
"""``"released"``: 100 pixels of padding before the first layer and none in fc6, as published;
``"same"``: every layer keeps its size, so maps lie on the image and cost nothing beside it."""

STRIDES = {2: "pool1", 4: "pool2", 8: "pool3", 16: "pool4", 32: "fc7"}
"""The map that FCN scores at each stride."""

LARGEFOV_STRIDES = {2: "pool1", 4: "pool2", 8: "fc7"}
"""The same for `vgg16_largefov`."""

STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Width and number of convolutions between poolings (configuration D)."""


def vgg16(
    layers: Sequence[str] = tuple(STRIDES.values()),
    *,
    style: Style = "same",
    in_channels: int = 3,
    dropout: float = 0.5,
    pretrained: bool = False,
) -> ChainBackbone:
    """Return VGG16 with fc6 and fc7 as convolutions of 4096 channels.

    Args:
        layers: the maps to return: conv1_1 ... conv5_3, pool1 ... pool5, fc6, fc7.
        style: padding as released or as modern networks have it.
        in_channels: bands of the image.
        dropout: share of fc6 and fc7 dropped in training.
        pretrained: start from torchvision's ImageNet weights.
    """
    chain: dict[str, nn.Module] = {}
    width, padding = in_channels, 100 if style == "released" else 1
    for stage, (channels, convolutions) in enumerate(STAGES, start=1):
        for number in range(1, convolutions + 1):
            chain[f"conv{stage}_{number}"] = ConvReLU(width, channels, 3, padding=padding)
            width, padding = channels, 1
        chain[f"pool{stage}"] = nn.MaxPool2d(2, 2, ceil_mode=True)
    chain |= classifier_convolutions(512, kernel=7, style=style, dropout=dropout)
    backbone = ChainBackbone("vgg16", chain, layers, _preprocessing(style, in_channels, pretrained))
    if pretrained:
        load_torchvision_vgg16(backbone, torchvision_weights("vgg16"))
    return backbone


def vgg16_largefov(
    layers: Sequence[str] = ("fc7",),
    *,
    in_channels: int = 3,
    dropout: float = 0.5,
    pretrained: bool = False,
) -> ChainBackbone:
    """Return ParseNet's trunk: VGG16 of stride 8 whose fc6 sees far with few weights.

    DeepLab's "LargeFOV" (Chen et al. 2015, section 2.3): pool4 and pool5 do not stride, conv5 is
    dilated by 2, and fc6 has 1024 filters of 3 x 3 dilated by 12.

    Args:
        layers: the maps to return: conv1_1 ... conv5_3, pool1 ... pool5, fc6, fc7.
        in_channels: bands of the image.
        dropout: share of fc6 and fc7 dropped in training.
        pretrained: start from torchvision's ImageNet weights, fc6 and fc7 subsampled.
    """
    chain: dict[str, nn.Module] = {}
    width = in_channels
    for stage, (channels, convolutions) in enumerate(STAGES, start=1):
        dilation = 2 if stage == 5 else 1
        for number in range(1, convolutions + 1):
            chain[f"conv{stage}_{number}"] = ConvReLU(
                width, channels, 3, padding=dilation, dilation=dilation
            )
            width = channels
        chain[f"pool{stage}"] = (
            nn.MaxPool2d(2, 2, ceil_mode=True) if stage < 4 else nn.MaxPool2d(3, 1, padding=1)
        )
    chain["fc6"] = ConvReLU(512, 1024, 3, padding=12, dilation=12, dropout=dropout)
    chain["fc7"] = ConvReLU(1024, 1024, 1, dropout=dropout)
    caffe = in_channels == 3 and not pretrained
    preprocessing = CAFFE_VOC if caffe else default_preprocessing(in_channels)
    backbone = ChainBackbone("vgg16_largefov", chain, layers, preprocessing)
    if pretrained:
        load_torchvision_vgg16(backbone, torchvision_weights("vgg16"))
    return backbone


def classifier_convolutions(
    width: int, *, kernel: int, style: Style, dropout: float
) -> dict[str, nn.Module]:
    """Return fc6 and fc7 as convolutions: the first as large as the map that it classified."""
    padding = 0 if style == "released" else kernel // 2
    return {
        "fc6": ConvReLU(width, 4096, kernel, padding=padding, dropout=dropout),
        "fc7": ConvReLU(4096, 4096, 1, dropout=dropout),
    }


def load_torchvision_vgg16(backbone: ChainBackbone, weights: dict[str, Tensor]) -> None:
    """Copy torchvision's VGG16: its linear layers, reshaped, become fc6 and fc7.

    Where the trunk has fewer filters or smaller ones, every nth is taken, as DeepLab does.
    """
    names = [n for n, m in backbone.named_children() if isinstance(m, nn.Conv2d)]
    sources = sorted(
        {key.rpartition(".")[0] for key in weights},
        key=lambda key: (key.startswith("classifier"), int(key.rpartition(".")[2])),
    )[: len(names)]
    linear = {"fc6": (4096, 512, 7, 7), "fc7": (4096, 4096, 1, 1)}
    own, state = backbone.state_dict(), {}
    for name, source in zip(names, sources, strict=True):
        weight, bias = weights[f"{source}.weight"], weights[f"{source}.bias"]
        weight = weight.reshape(linear.get(name, weight.shape))
        state[f"{name}.weight"] = subsampled(weight, own[f"{name}.weight"].shape)
        state[f"{name}.bias"] = subsampled(bias, own[f"{name}.bias"].shape)
    backbone.load_state_dict(state)


def subsampled(values: Tensor, shape: Sequence[int]) -> Tensor:
    """Return every nth value along each axis, spread from the first on to fit a shape.

    Example:
        >>> import torch
        >>> subsampled(torch.arange(7), [3])
        tensor([0, 3, 6])
    """
    for axis, (have, want) in enumerate(zip(values.shape, shape, strict=True)):
        if have != want:
            step = have // want if have % want == 0 else (have - 1) // (want - 1)
            values = values.index_select(axis, torch.arange(want) * step)
    return values


def _preprocessing(style: Style, in_channels: int, pretrained: bool) -> Preprocessing:
    caffe = style == "released" and in_channels == 3 and not pretrained
    return CAFFE_VOC if caffe else default_preprocessing(in_channels)
