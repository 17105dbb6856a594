"""BVLC's AlexNet (Krizhevsky et al. 2012; "CaffeNet") made fully convolutional.

Two halves talk only at conv3 (groups of 2), and normalisation comes after pooling, as Caffe's
reference model has it; torchvision's AlexNet is another network.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from lookwider.backbones.chain import ChainBackbone, ConvReLU
from lookwider.backbones.vgg import Style, classifier_convolutions
from lookwider.errors import ConfigError
from lookwider.preprocessing import CAFFE_VOC, default_preprocessing

STRIDES = {4: "conv1", 8: "norm1", 16: "norm2", 32: "fc7"}
"""The map that FCN scores at each stride."""


def alexnet(
    layers: Sequence[str] = tuple(STRIDES.values()),
    *,
    style: Style = "same",
    in_channels: int = 3,
    dropout: float = 0.5,
    pretrained: bool = False,
) -> ChainBackbone:
    """Return AlexNet with fc6 and fc7 as convolutions of 4096 channels.

    Args:
        layers: the maps to return: conv1 ... conv5, pool1, norm1, pool2, norm2, pool5, fc6, fc7.
        style: padding as released (100 pixels, poolings unpadded) or as modern networks have it.
        in_channels: bands of the image.
        dropout: share of fc6 and fc7 dropped in training.
        pretrained: not possible here: torchvision has no such weights.

    Raises:
        ConfigError: pretrained weights were asked for.
    """
    if pretrained:
        raise ConfigError(
            "pretrained=true: torchvision's AlexNet has no groups and no normalisation, so its "
            "weights do not fit; train from scratch with pretrained=false, or use "
            "backbone='vgg16' or a timm model"
        )
    released = style == "released"

    def pool() -> nn.Module:
        return nn.MaxPool2d(3, 2, padding=0 if released else 1, ceil_mode=released)

    def normalisation() -> nn.Module:
        return nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)

    chain: dict[str, nn.Module] = {
        "conv1": ConvReLU(in_channels, 96, 11, stride=4, padding=100 if released else 5),
        "pool1": pool(),
        "norm1": normalisation(),
        "conv2": ConvReLU(96, 256, 5, padding=2, groups=2),
        "pool2": pool(),
        "norm2": normalisation(),
        "conv3": ConvReLU(256, 384, 3, padding=1),
        "conv4": ConvReLU(384, 384, 3, padding=1, groups=2),
        "conv5": ConvReLU(384, 256, 3, padding=1, groups=2),
        "pool5": pool(),
        **classifier_convolutions(256, kernel=6, style=style, dropout=dropout),
    }
    preprocessing = (
        CAFFE_VOC if released and in_channels == 3 else default_preprocessing(in_channels)
    )
    return ChainBackbone("alexnet", chain, layers, preprocessing)
