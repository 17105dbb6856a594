"""Two taps per axis and regions of a map as steps of a graph, exact for every size.

`lookwider.layers.taps` and `lookwider.layers.region_sums` compute them in Python, from numbers; a
graph keeps those of the size that it was traced with. Here they are computed of the sizes by the
graph itself, in whole numbers: positions are fractions, so that no runtime's rounding can move
one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from lookwider.kernels.pyramid import GridAlignment
from lookwider.layers.taps import bilinear_filter


@dataclass(frozen=True, eq=False)
class GraphTaps:
    """As `lookwider.layers.taps.Taps`: each output is a weighted sum of two inputs.

    Attributes:
        low: (outputs,) int64.
        high: (outputs,) int64.
        low_weight: (outputs,) float32.
        high_weight: (outputs,) float32.
    """

    low: Tensor
    high: Tensor
    low_weight: Tensor
    high_weight: Tensor

    @classmethod
    def at_fractions(cls, numerator: Tensor, denominator: Tensor, length: int) -> GraphTaps:
        """Interpolate linearly at ``numerator / denominator``, clamped to the first and last.

        Shape:
            numerator: (outputs,) int64; denominator: () or (1,) int64, positive.
        """
        last = length - 1
        inside = torch.minimum(numerator.clamp(min=0), denominator * last)
        low = inside // denominator
        high = torch.minimum(low + 1, torch.zeros_like(low) + last)
        past = inside - low * denominator
        scale = denominator.to(torch.float32)
        return cls(low, high, (denominator - past) / scale, past / scale)

    @classmethod
    def aligned(cls, length: int, size: int) -> GraphTaps:
        """First and last places coincide."""
        steps = torch.arange(size)
        return cls.at_fractions(steps * (length - 1), _number(size - 1).clamp(min=1), length)

    @classmethod
    def half_pixel(cls, length: int, size: int) -> GraphTaps:
        """Places are areas."""
        doubled = 2 * torch.arange(size) + 1
        return cls.at_fractions(doubled * length - size, _number(2 * size), length)

    @classmethod
    def centred(cls, length: int, size: int, stride: float, offset: float) -> GraphTaps:
        """Place i lies at ``offset + stride * i`` of the output."""
        step, first = Fraction(stride), Fraction(offset)
        whole = step.denominator * first.denominator
        numerator = torch.arange(size) * whole - int(first * whole)
        return cls.at_fractions(numerator, torch.tensor(int(step * whole)), length)

    @classmethod
    def deconvolution(
        cls, length: int, size: int, kernel: int, stride: int, crop: int = 0
    ) -> GraphTaps:
        """A deconvolution with the bilinear filter, then ``size`` outputs from ``crop`` on."""
        filter1d = torch.tensor(bilinear_filter(kernel))
        place = torch.arange(size) + crop
        high = place // stride
        low = high - 1
        last = torch.zeros_like(low) + (length - 1)

        def weight(cell: Tensor) -> Tensor:
            tap = place - stride * cell
            inside = (cell >= 0) & (cell <= last) & (tap < kernel)
            return filter1d[tap.clamp(0, kernel - 1)] * inside.to(torch.float32)

        inside = [torch.minimum(cell.clamp(min=0), last) for cell in (low, high)]
        return cls(inside[0], inside[1], weight(low), weight(high))


def resample(maps: Tensor, rows: GraphTaps, cols: GraphTaps) -> Tensor:
    """Apply taps to both axes.

    Shape:
        (N, C, h, w) -> (N, C, H, W), in the dtype of ``maps``.
    """
    low, high = maps.index_select(-1, cols.low), maps.index_select(-1, cols.high)
    mixed = low * cols.low_weight.to(maps.dtype) + high * cols.high_weight.to(maps.dtype)
    low, high = mixed.index_select(-2, rows.low), mixed.index_select(-2, rows.high)
    low_weight, high_weight = rows.low_weight[:, None], rows.high_weight[:, None]
    return low * low_weight.to(maps.dtype) + high * high_weight.to(maps.dtype)


class Regions:
    """The regions of a pyramid along one axis, those of all numbers of bins one after the other.

    Args:
        bins: regions of each grid.
        length: of the axis, in cells.
    """

    def __init__(self, bins: Sequence[int], length: int) -> None:
        self.length = length
        self.count = torch.tensor([[n] for n in bins for _ in range(n)])
        self.index = torch.tensor([[i] for n in bins for i in range(n)])
        self.cell = torch.arange(length)

    def members(self) -> Tensor:
        """Return which cells belong to which region, as adaptive pooling has them.

        Shape:
            (regions, cells) bool.
        """
        first = self.index * self.length // self.count
        end = ((self.index + 1) * self.length + (self.count - 1)) // self.count
        return (self.cell >= first) & (self.cell < end)

    def spread(self, alignment: GridAlignment) -> Tensor:
        """Return how much of each region every cell takes where grids are upsampled bilinearly.

        Shape:
            (regions, cells) float32.
        """
        if alignment == "aligned":
            step = _number(self.length - 1).clamp(min=1)
            place = self.cell * (self.count - 1)
        else:
            step = _number(2 * self.length)
            place = (2 * self.cell + 1) * self.count - self.length
            place = torch.minimum(place.clamp(min=0), step * (self.count - 1))
        away = (place - self.index * step).abs()
        return (step - away).clamp(min=0).to(torch.float32) / step.to(torch.float32)


def region_averages(maps: Tensor, rows: Regions, cols: Regions) -> Tensor:
    """Return the average over every region of the rows and every region of the columns.

    Shape:
        (N, C, h, w) -> (N, C, regions, regions) float32.
    """
    of_rows, of_cols = (regions.members().to(torch.float32) for regions in (rows, cols))
    sums = torch.matmul(of_rows, torch.matmul(maps.to(torch.float32), of_cols.T))
    return sums / (of_rows.sum(1)[:, None] * of_cols.sum(1))


def region_maxima(maps: Tensor, rows: Regions, cols: Regions) -> Tensor:
    """Return the maximum over every region of the rows and every region of the columns.

    Shape:
        (N, C, h, w) -> (N, C, regions, regions).
    """
    least = torch.tensor(torch.finfo(maps.dtype).min, dtype=maps.dtype)
    of_rows, of_cols = rows.members().unbind(), cols.members().unbind()
    by_cols = torch.stack([torch.where(m, maps, least).amax(-1) for m in of_cols], dim=-1)
    by_rows = [torch.where(m[:, None], by_cols, least).amax(-2) for m in of_rows]
    return torch.stack(by_rows, dim=-2)


def _number(value: int) -> Tensor:
    """Return a length as a tensor (1,), for steps that a size is not allowed in."""
    return torch.zeros(1, dtype=torch.int64) + value
