"""A convolution of a map and the upsampled grids of a pyramid, without their concatenation.

PSPNet (Zhao et al. 2017, figure 3) upsamples its grids, concatenates them to the map and
convolves. A convolution is linear in its channels, so it is the sum of the map's own and of one
per grid; and upsampling is linear in the cells, so a grid's is computed on its few cells:

    Q[i, j, dy, dx] = W[dy, dx] . grid[i, j]                    per grid, a product of b^2 rows
    y[r, c] += sum over i, dy, j, dx of  A[r, i dy] B[c, j dx] Q[i, j, dy, dx]

where A[r, i dy] is the weight of the grid's row i in the row that tap dy of window r meets, zero
where that is padding, and B the same for columns. Exact for any two-tap upsampling, and for any
stride, padding and dilation.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from lookwider.kernels.training_convolutions import trained_conv2d
from lookwider.layers.deferred import Window
from lookwider.layers.modes import full_precision
from lookwider.layers.region_sums import Place
from lookwider.layers.taps import Taps, resample

GridAlignment = Literal["aligned", "half_pixel"]
"""How a grid of regions lies on the map: first and last regions on the first and last cells, as
published; or regions as areas."""


@dataclass(frozen=True)
class Spread:
    """How grids of regions are upsampled to the cells of a map, or of a tile of it.

    Attributes:
        alignment: how a grid lies on the whole map.
        place: where the tile lies in it.
        height: of the tile, in cells.
        width: of the tile, in cells.
    """

    alignment: GridAlignment
    place: Place
    height: int
    width: int

    def __call__(self, grid: Tensor) -> Tensor:
        """Upsample a grid.

        Shape:
            (N, C, b, b) -> (N, C, h, w).
        """
        return resample(grid, self.rows(int(grid.shape[-2])), self.cols(int(grid.shape[-1])))

    @classmethod
    def onto(cls, maps: Tensor, place: Place, alignment: GridAlignment) -> Spread:
        """Return how grids are upsampled to these maps (N, C, h, w)."""
        return cls(alignment, place, int(maps.shape[-2]), int(maps.shape[-1]))

    def rows(self, bins: int) -> Taps:
        """Return the rows of a grid that each of the tile's rows mixes."""
        return self._taps(bins, self.place.height, self.place.top, self.height)

    def cols(self, bins: int) -> Taps:
        """Return the columns of a grid that each of the tile's columns mixes."""
        return self._taps(bins, self.place.width, self.place.left, self.width)

    def _taps(self, bins: int, length: int, first: int, cells: int) -> Taps:
        make = Taps.aligned if self.alignment == "aligned" else Taps.half_pixel
        return make(bins, length)[first : first + cells]


def tap_weights(weight: Tensor) -> Tensor:
    """Return a convolution's weights as one matrix that a grid's cells are multiplied by.

    A view of channels-last weights. Of use to prepare what is convolved with many times.

    Shape:
        (O, C, kh, kw) -> (O * kh * kw, C).
    """
    outputs, channels, height, width = weight.shape
    return weight.permute(0, 2, 3, 1).reshape(outputs * height * width, channels)


@dataclass(frozen=True, eq=False)
class PyramidParts:
    """The concatenation of a map and the upsampled grids of a pyramid, before it is made.

    Attributes:
        maps: the map (N, C, h, w).
        grids: the grids (N, C_k, b_k, b_k).
        spread: how the grids are upsampled.
    """

    maps: Tensor
    grids: tuple[Tensor, ...]
    spread: Spread

    def like(self) -> tuple[Tensor, tuple[int, ...]]:
        """Return the map and the shape of the concatenation."""
        count, channels, height, width = self.maps.shape
        return self.maps, (count, channels + sum(g.shape[1] for g in self.grids), height, width)

    def put_together(self) -> Tensor:
        """Return the concatenation.

        Shape:
            (N, C + sum of C_k, h, w).
        """
        return torch.cat([self.maps, *(self.spread(grid) for grid in self.grids)], dim=1)

    def convolved(self, weight: Tensor, bias: Tensor | None, window: Window) -> Tensor:
        """Return the convolution of the concatenation.

        Gradients follow from those of its few steps, double ones too.

        Shape:
            (O, C + sum of C_k, kh, kw) -> (N, O, h', w'), channels-last.
        """
        widths = [int(part.shape[1]) for part in (self.maps, *self.grids)]
        own, *parts = torch.split(weight, widths, dim=1)
        convolved = trained_conv2d(
            self.maps, own, bias, window.stride, window.padding, window.dilation
        )
        taps = [tap_weights(part) for part in parts]
        return add_grids(convolved, self.grids, taps, self.spread, window)


def add_grids(
    maps: Tensor, grids: Sequence[Tensor], taps: Sequence[Tensor], spread: Spread, window: Window
) -> Tensor:
    """Add to a map's own convolution the convolution of the upsampled grids.

    Where no gradients are recorded, in place if the map is channels-last and not of half
    precision: half-precision products are mixed and added in float32, then rounded once.

    Args:
        maps: the map's own convolution, (N, O, h', w').
        grids: (N, C_k, b_k, b_k) each.
        taps: `tap_weights` of each grid's share of the weights.
        spread: how grids are upsampled.
        window: the convolution's.

    Shape:
        (N, O, h', w'), channels-last.
    """
    rows, mixed = _factors(grids, taps, spread, window)
    count, channels, height, width = maps.shape
    own = maps.permute(0, 2, 3, 1).reshape(count, height, width * channels)
    with full_precision(maps.device):
        wide = own.to(mixed.dtype)
        out = None if torch.is_grad_enabled() else wide
        total = torch.baddbmm(wide, rows.expand(count, -1, -1), mixed, out=out).to(own.dtype)
    return total.view(count, height, width, channels).permute(0, 3, 1, 2)


def convolved_grids(
    grids: Sequence[Tensor], taps: Sequence[Tensor], spread: Spread, window: Window
) -> Tensor:
    """Return the convolution of the upsampled grids alone, to which a map's own can be added.

    Args:
        grids: (N, C_k, b_k, b_k) each.
        taps: `tap_weights` of each grid's share of the weights.
        spread: how grids are upsampled.
        window: the convolution's.

    Shape:
        (N, O, h', w'), channels-last, in the dtype of grids and weights.
    """
    rows, mixed = _factors(grids, taps, spread, window)
    channels = int(taps[0].shape[0]) // (window.kernel[0] * window.kernel[1])
    with full_precision(mixed.device):
        total = torch.matmul(rows, mixed).to(torch.result_type(grids[0], taps[0]))
    width = int(total.shape[2]) // channels
    return total.view(len(total), len(rows), width, channels).permute(0, 3, 1, 2)


def _factors(
    grids: Sequence[Tensor], taps: Sequence[Tensor], spread: Spread, window: Window
) -> tuple[Tensor, Tensor]:
    """Return A (h', S) and B . Q (N, S, w' * O), S the grids' rows times the window's.

    In float32 at least: only the products of cells and weights are left to autocast.
    """
    mixed = []
    for grid, weights in zip(grids, taps, strict=True):
        count, channels, height, width = grid.shape
        down, right = window.kernel
        outputs = len(weights) // (down * right)
        cells = grid.permute(0, 2, 3, 1).reshape(count * height * width, channels)
        products = cells @ weights.T  # (N * b * b, O * kh * kw)
        wide = torch.promote_types(products.dtype, torch.float32)
        products = products.view(count, height, width, outputs, down, right)
        products = products.permute(0, 1, 4, 2, 5, 3).to(wide)  # (N, b, kh, b, kw, O)
        products = products.reshape(count, height * down, width * right, outputs)
        with full_precision(grid.device):
            cols = _columns(spread, window, width, wide, grid.device)
            mixed.append(torch.matmul(cols, products).flatten(2))
    stacked = torch.cat(mixed, dim=1)
    bins = tuple(int(grid.shape[-2]) for grid in grids)
    return _rows(spread, window, bins, stacked.dtype, stacked.device), stacked


@functools.lru_cache(maxsize=64)
def _rows(
    spread: Spread, window: Window, bins: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> Tensor:
    """Return A: (h', sum of b * kh)."""
    with torch.inference_mode(False):  # kept for later, when gradients may be wanted
        found = [_shifted(spread.rows(b).matrix(), window, axis=0) for b in bins]
        return torch.cat(found, dim=1).to(device, dtype)


@functools.lru_cache(maxsize=256)
def _columns(
    spread: Spread, window: Window, bins: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """Return B: (w', b * kw)."""
    with torch.inference_mode(False):
        return _shifted(spread.cols(bins).matrix(), window, axis=1).to(device, dtype)


def _shifted(upsampling: Tensor, window: Window, axis: int) -> Tensor:
    """Return the upsampling matrix of the row that each tap of each window meets.

    Shape:
        (h, b) -> (h', b * kernel).
    """
    kernel, stride, padding, dilation = (
        pair[axis] for pair in (window.kernel, window.stride, window.padding, window.dilation)
    )
    padded = functional.pad(upsampling, (0, 0, padding, padding))
    windows = padded.unfold(0, dilation * (kernel - 1) + 1, stride)  # (h', b, reach)
    return windows[..., ::dilation].flatten(1)
