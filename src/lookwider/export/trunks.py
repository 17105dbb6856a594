"""Trunks whose poolings and padding are the same for every size.

Poolings in ceil mode and padding to a multiple decide by the size what they do; a graph cannot.
Both have forms without a decision, with the same result.
"""

from __future__ import annotations

import copy
from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from lookwider.backbones import Backbone, Features
from lookwider.backbones.googlenet import CeilMaxPool
from lookwider.backbones.timm_trunk import TimmBackbone


class PaddedMaxPool(nn.Module):
    """Maximum pooling in ceil mode, by repeating the last row and column.

    A window that reaches beyond the map holds the map's last place, of which more copies change no
    maximum.

    Args:
        kernel: side of the window.
        stride: from window to window, at most the kernel.
        padding: on each side, at most half the kernel.
    """

    def __init__(self, kernel: int, stride: int, padding: int = 0) -> None:
        super().__init__()
        self.kernel, self.stride, self.padding = kernel, stride, padding

    def forward(self, maps: Tensor) -> Tensor:
        """Return the maxima.

        Shape:
            (N, C, h, w) -> (N, C, ceil((h + 2 padding - kernel) / stride) + 1, ...), at least 1.
        """
        before, after = self.padding, self.padding + self.kernel - 1
        padded = functional.pad(maps, (before, after, before, after), mode="replicate")
        pooled = functional.max_pool2d(padded, self.kernel, self.stride)
        if self.kernel == self.stride:
            return pooled
        # one more than the kernel less the stride would need: so that a single cell is a window
        height, width = (self._places(length) for length in maps.shape[-2:])
        return pooled[..., :height, :width]

    def _places(self, length: int) -> int:
        over = length + 2 * self.padding - self.kernel
        places = (over + self.stride - 1) // self.stride + 1
        return places + 1 // (places + 1)  # the larger of it and 1, of what may be no number


class TimmTrunk(nn.Module):
    """A `TimmBackbone` that pads every image, if only by nothing.

    Args:
        trunk: shares its layers.
    """

    def __init__(self, trunk: TimmBackbone) -> None:
        super().__init__()
        self.network = trunk.network
        self.multiple, self.channels_last = trunk.multiple, trunk.channels_last

    def forward(self, images: Tensor) -> Features:
        """Return the maps of the chosen layers."""
        if self.multiple > 1:
            bottom, right = (-length % self.multiple for length in images.shape[-2:])
            images = functional.pad(images, (0, right, 0, bottom))
        maps = self.network(images)
        return tuple(m.permute(0, 3, 1, 2) if self.channels_last else m for m in maps)


def exportable_trunk(trunk: Backbone) -> nn.Module:
    """Return a trunk that computes the same without deciding by the size; weights are shared."""
    module = cast(nn.Module, trunk)
    tensors = [*module.parameters(), *module.buffers()]
    copied = copy.deepcopy(module, {id(tensor): tensor for tensor in tensors})
    for parent in list(copied.modules()):
        for name, layer in parent.named_children():
            if isinstance(layer, CeilMaxPool):
                setattr(parent, name, PaddedMaxPool(3, 2))
            elif isinstance(layer, nn.MaxPool2d) and layer.ceil_mode:
                setattr(parent, name, _padded(layer))
    return TimmTrunk(copied) if isinstance(copied, TimmBackbone) else copied


def _padded(pool: nn.MaxPool2d) -> PaddedMaxPool:
    sides = (pool.kernel_size, pool.stride, pool.padding)
    kernel, stride, padding = (s if isinstance(s, int) else s[0] for s in sides)
    return PaddedMaxPool(kernel, stride, padding)
