"""L2 normalisation with a learned scale (ParseNet, Liu et al. 2015, section 3.3)."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from lookwider.layers.deferred import DeferredMap, Window
from lookwider.layers.modes import computed_in


class L2Norm(nn.Module):
    """Give every place a feature vector of length one, then scale each channel.

    Features of different layers differ in magnitude; normalised, they can be joined. The
    gradient is the true one (equations 3 to 5): the released C++ leaves the channels' scales out
    of an inner product.

    Args:
        channels: of the features.
        scale: initial value of the scale; the paper finds that 1 hardly trains and 10 or 20 do.
        across_spatial: one length for a whole map instead of one per place.
        channel_shared: one scale for all channels.
        learned: whether the scale is learned.
        eps: added to the squared length, inside the root.

    Example:
        >>> L2Norm(2, scale=10.0)(torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)).flatten().tolist()
        [6.0, 8.0]
    """

    def __init__(
        self,
        channels: int,
        *,
        scale: float = 10.0,
        across_spatial: bool = False,
        channel_shared: bool = False,
        learned: bool = True,
        eps: float = 1e-10,
    ) -> None:
        super().__init__()
        self.axes = (1, 2, 3) if across_spatial else (1,)
        self.eps = eps
        values = torch.full((1 if channel_shared else channels,), float(scale))
        self.scale = nn.Parameter(values, requires_grad=learned)

    def forward(
        self, features: Tensor, *, deferred: bool = False, squares: Tensor | None = None
    ) -> Tensor:
        """Return the normalised and scaled features.

        The length is computed in float32 at least, also under autocast.

        Args:
            features: the features.
            deferred: leave the division by the length to after the convolution that follows, if
                that is possible: a classifier's scores are fewer than the features. See
                `may_defer`.
            squares: squared lengths (N, 1, 1, 1) of whole maps, of which these features are tiles.

        Shape:
            (N, C, h, w) -> (N, C, h, w), in the dtype of the features.
        """
        parts = NormalisedParts(features, self.scale, self.axes, self.eps, squares)
        return DeferredMap(parts.with_lengths()) if deferred else parts.put_together()


@dataclass(frozen=True, eq=False)
class NormalisedParts:
    """Features that are to be divided by their lengths and scaled.

    Attributes:
        features: (N, C, h, w).
        scale: of each channel (C,), or (1,) of all.
        axes: over which a length is taken: (1,) at every place, (1, 2, 3) of the whole map.
        eps: added to the squared length, inside the root.
        squares: squared lengths of the whole maps of tiles; None to take the features' own.
        inverse_length: 1 / |x|, in float32 at least: (N, 1, h, w), or (N, 1, 1, 1) of the whole
            map; None where it is not needed before the features are divided.
    """

    features: Tensor
    scale: Tensor
    axes: tuple[int, ...]
    eps: float
    squares: Tensor | None = None
    inverse_length: Tensor | None = None

    def with_lengths(self) -> NormalisedParts:
        """Return the same with the lengths, once for all convolutions.

        They are computed here and not by the first convolution: then, as for the map itself, their
        gradients are recorded, or not, by the mode in which the map is deferred.
        """
        squares = self.squares
        if squares is None:
            squares = squared_lengths(self.features, self.axes)
        return replace(self, inverse_length=(squares + self.eps).rsqrt())

    def like(self) -> tuple[Tensor, tuple[int, ...]]:
        """Return the features and their shape."""
        return self.features, tuple(self.features.shape)

    def put_together(self) -> Tensor:
        """Return the normalised and scaled features.

        Shape:
            (N, C, h, w).
        """
        wide = self.features.to(torch.promote_types(self.features.dtype, torch.float32))
        squares = self.squares
        if squares is None:
            squares = wide.square().sum(self.axes, keepdim=True)
        scale = self.scale[:, None, None] * (squares + self.eps).rsqrt()
        return (wide * scale).to(self.features.dtype)

    def convolved(self, weight: Tensor, bias: Tensor | None, window: Window) -> Tensor | None:
        """Return a convolution of the normalised features, divided by the lengths afterwards.

        ``W (s x / |x|) = (W s) x / |x|``: only where all cells of a window share their length.
        Half precision is left out: features that were not normalised can overflow it.

        Shape:
            (O, C, kh, kw) -> (N, O, h', w').
        """
        shared = len(self.axes) > 1
        half = torch.float16 in (self.features.dtype, computed_in(self.features))
        if half or self.inverse_length is None or not (shared or window.is_cell):
            return None
        scaled = weight * self.scale[:, None, None].to(weight.dtype)
        if window == CELLS:
            scores = convolved_cells(self.features, scaled.flatten(1))
        else:
            scores = functional.conv2d(
                self.features, scaled, None, window.stride, window.padding, window.dilation
            )
        down, right = (1, 1) if shared else window.stride
        total = scores * self.inverse_length[..., ::down, ::right]
        return (total if bias is None else total + bias[:, None, None]).to(scores.dtype)


CELLS = Window((1, 1))
"""The window of a classifier of every cell."""


def convolved_cells(maps: Tensor, weight: Tensor) -> Tensor:
    """Convolve every cell by a 1 x 1 kernel, as one product in the memory format of the maps.

    Shape:
        (N, C, h, w), (O, C) -> (N, O, h, w).
    """
    if maps.is_contiguous(memory_format=torch.channels_last):
        return functional.linear(maps.permute(0, 2, 3, 1), weight).permute(0, 3, 1, 2)
    count, _, height, width = maps.shape
    return torch.matmul(weight, maps.flatten(2)).view(count, len(weight), height, width)


def squared_lengths(maps: Tensor, axes: tuple[int, ...] = (1,)) -> Tensor:
    """Return the sum of squares over some axes, in float32 at least.

    Squares of all values are only kept in memory where gradients are recorded.

    Args:
        maps: (N, C, h, w).
        axes: (1,) or (1, 2, 3).
    """
    wide = torch.promote_types(maps.dtype, torch.float32)
    if torch.is_grad_enabled() and maps.requires_grad:
        return maps.to(wide).square().sum(axes, keepdim=True)
    if len(axes) > 1:
        return squared_lengths(maps).sum(axes, keepdim=True)
    if maps.is_contiguous(memory_format=torch.channels_last):
        lengths: Tensor = torch.linalg.vector_norm(maps, dim=1, keepdim=True, dtype=wide)
        return lengths.square()
    chunk = max(1, _CHUNK * maps.shape[1] // max(maps.numel(), 1))
    parts = (part.to(wide).square().sum(1, keepdim=True) for part in torch.split(maps, chunk, 1))
    return functools.reduce(torch.add, parts)


_CHUNK = 2**17
"""Values whose squares stay in the cache."""
