"""Trunks that are one chain of named layers, as the classifiers of 2012 to 2014 were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from lookwider.backbones.contract import Features, chosen_layers, traced_layers
from lookwider.preprocessing import Preprocessing


class ConvReLU(nn.Conv2d):
    """A convolution, its ReLU and, where asked for, dropout: one layer under one name.

    Caffe computes ReLU and dropout in place, so in the papers a layer's name means all three.
    """

    def __init__(self, *args: Any, dropout: float = 0.0, **options: Any) -> None:
        super().__init__(*args, **options)
        self.dropout = dropout

    def forward(self, maps: Tensor) -> Tensor:
        """Return the rectified convolution."""
        maps = functional.relu(super().forward(maps), inplace=True)
        return functional.dropout(maps, self.dropout, self.training) if self.dropout else maps


class ChainBackbone(nn.Module):
    """Run named layers one after the other and return the maps of some of them.

    Args:
        name: the network's name, for messages.
        chain: the layers in order; their names become the names of the weights.
        layers: the layers whose output is returned.
        preprocessing: what the weights expect of an image.
    """

    def __init__(
        self,
        name: str,
        chain: Mapping[str, nn.Module],
        layers: Sequence[str],
        preprocessing: Preprocessing,
    ) -> None:
        super().__init__()
        for layer, module in chain.items():
            self.add_module(layer, module)
        self.layers = chosen_layers(name, layers, list(chain))
        self.preprocessing = preprocessing
        self.channels, self.grids = traced_layers(self, self.layers, preprocessing.in_channels)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Features:
        """Return the maps of the chosen layers.

        Shape:
            (N, C, H, W) -> a tuple of (N, C_i, h_i, w_i).
        """
        maps, found = images, {}
        for name, layer in self.named_children():
            maps = layer(maps)
            if name in self.layers:
                found[name] = maps
                if len(found) == len(self.layers):
                    break
        return tuple(found[name] for name in self.layers)
