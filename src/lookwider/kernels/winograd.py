"""Winograd's F(4 x 4, 3 x 3): a 3 x 3 convolution with a quarter of the multiplications.

Lavin and Gray 2016 ("Fast algorithms for convolutional neural networks", section 4): 4 x 4 cells
of the result come from 6 x 6 of the map by ``A' [(G w G') * (B' d B)] A``, where the products of
all tiles and channels are 36 matrix products. A dilated convolution is one of each of the
``dilation ** 2`` maps that it interleaves.

Exact but for rounding: in float32 the largest error is about 2e-6 of the largest value, where a
direct convolution's is about 1e-6.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from lookwider.kernels.switches import enabled, numba_enabled
from lookwider.kernels.threads import in_row_blocks

LEAST_CHANNELS, LEAST_TILES, LEAST_FILLED = 128, 128, 0.6
"""Channels, tiles, and the share of the tiles' cells that lie in the map: below these the
transforms cost more than the multiplications that they save."""

BUFFER_BYTES, MOST_TILES, FEWEST_TILES = 48 * 2**20, 256, 64
"""Tiles are transformed and multiplied in portions that stay in the caches."""


def winograd_enabled() -> bool:
    """Whether the transforms may be used: they are compiled by numba."""
    return enabled("winograd") and numba_enabled()


def winograd_pays(maps: Tensor, out_channels: int, dilation: int) -> bool:
    """Whether it is faster than a direct convolution of these maps (N, C, h, w)."""
    count, channels, height, width = maps.shape
    tiles = count * dilation**2 * _tiles(height, dilation) * _tiles(width, dilation)
    return (
        min(channels, out_channels) >= LEAST_CHANNELS
        and channels * out_channels > LEAST_CHANNELS**2
        and tiles >= LEAST_TILES
        and count * height * width >= LEAST_FILLED * 16 * tiles
    )


def winograd_weight(weight: Tensor) -> Tensor:
    """Transform the weights of a 3 x 3 convolution: ``G w G'``, computed in float64.

    Shape:
        (O, C, 3, 3) -> (36, C, O) float32.
    """
    g = _weight_matrix()
    transformed = torch.einsum("ai,bj,ocij->abco", g, g, weight.detach().double())
    return transformed.flatten(0, 1).float().contiguous()


def winograd_convolution(
    maps: Tensor, weight: Tensor, bias: Tensor | None, *, dilation: int = 1, relu: bool = False
) -> Tensor:
    """Return a 3 x 3 convolution of stride 1 whose padding is its dilation.

    Args:
        maps: float32 on the CPU.
        weight: from `winograd_weight`.
        bias: (O,).
        dilation: of the convolution.
        relu: rectify the result.

    Shape:
        (N, C, h, w) -> (N, O, h, w), channels-last.
    """
    from lookwider.kernels.winograd_transforms import transform_input, transform_output

    (count, channels, height, width), out_channels = maps.shape, int(weight.shape[2])
    rows, cols = _tiles(height, dilation), _tiles(width, dilation)
    bottom, right = (dilation * (4 * n + 1) - m for n, m in ((rows, height), (cols, width)))
    padded = functional.pad(maps, (dilation, right, dilation, bottom))
    source = padded.permute(0, 2, 3, 1).contiguous().numpy()
    result = maps.new_empty(count, height, width, out_channels)
    shift = maps.new_zeros(out_channels) if bias is None else bias.contiguous()
    total = count * dilation**2 * rows * cols
    portion = min(total, _portion(channels + out_channels))
    tiles = maps.new_empty(portion, 36, channels)
    products = maps.new_empty(portion, 36, out_channels)
    for first in range(0, total, portion):
        some = min(portion, total - first)
        given, found = tiles[:some], products[:some]
        where = (cols, rows * cols, dilation, first)
        in_row_blocks(transform_input, some, source, given.numpy(), *where)
        torch.bmm(given.transpose(0, 1), weight, out=found.transpose(0, 1))
        in_row_blocks(
            transform_output, some, found.numpy(), result.numpy(), shift.numpy(), relu, *where
        )
    return result.permute(0, 3, 1, 2)


def _tiles(length: int, dilation: int) -> int:
    """Return how many tiles the longest of the interleaved maps needs along an axis."""
    return -(-length // (4 * dilation))


def _portion(channels: int) -> int:
    return max(FEWEST_TILES, min(MOST_TILES, BUFFER_BYTES // (36 * 4 * channels)))


def _weight_matrix() -> Tensor:
    """Return G (6, 3): polynomials of the weights at the points, scaled for the inverse."""
    from lookwider.kernels.winograd_transforms import FAR, NEAR

    a, b = NEAR**2, FAR**2
    near, far = 1 / (2 * a * (a - b)), 1 / (2 * b * (b - a))
    return torch.tensor(
        [
            [1 / (a * b), 0, 0],
            [near, near * NEAR, near * a],
            [near, -near * NEAR, near * a],
            [far, far * FAR, far * b],
            [far, -far * FAR, far * b],
            [0, 0, 1],
        ],
        dtype=torch.float64,
    )
