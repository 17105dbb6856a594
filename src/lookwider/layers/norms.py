"""Normalisation after the new convolutions of a network, as one named choice."""

from __future__ import annotations

import math
from typing import Literal, get_args

from torch import Tensor, nn
from torch.nn import functional

from lookwider.errors import check_choice

Norm = Literal["batch", "group", "none"]
"""``"batch"``: batch normalisation, as published; ``"group"``: group normalisation, which does
not need several images a step; ``"none"``: a bias."""

BATCH_NORM_MOMENTUM = 0.05
"""PSPNet's release: 0.95 in Caffe's words, which weigh the old statistics."""

GROUPS, GROUP_CHANNELS = 32, 16
"""Most groups of a group normalisation, and least channels of a group: the average of an image is
one cell, of which a group of few channels would leave nothing."""


class ConvNormReLU(nn.Module):
    """A convolution, its normalisation (or a bias) and a ReLU.

    Args:
        in_channels: of the features.
        out_channels: of the result.
        kernel: side of the window; the map keeps its size.
        norm: what follows the convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, norm: Norm) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel, padding=kernel // 2, bias=norm == "none"
        )
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        self.norm = create_norm(norm, out_channels)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the rectified maps.

        Shape:
            (N, C, h, w) -> (N, C', h, w).
        """
        return functional.relu(self.norm(self.conv(maps)), inplace=True)


def create_norm(norm: Norm, channels: int) -> nn.Module:
    """Return a normalisation layer for so many channels.

    Raises:
        ConfigError: the name is unknown.
    """
    check_choice("norm", norm, get_args(Norm))
    if norm == "batch":
        return nn.BatchNorm2d(channels, momentum=BATCH_NORM_MOMENTUM)
    if norm == "group":
        groups = max(1, min(GROUPS, channels // GROUP_CHANNELS))
        return nn.GroupNorm(math.gcd(groups, channels), channels)
    return nn.Identity()
