"""What the cells of a map see along one axis: the law that all follow, and each one's pixels.

The law is FCN's (Long et al. 2015, section 3.1) and what papers print: one size, one stride,
padding counted as pixels. The pixels are exact: cell by cell the first and the last of the image
that reach it, at the border and after any interpolation too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lookwider.layers.grids import Grid

Cells = npt.NDArray[np.int64]
"""A number per cell; or a table: the input cells that each output cell takes, in any order."""

_NEVER = np.iinfo(np.int64).max // 2
"""The first pixel of a cell that sees none."""


@dataclass(frozen=True)
class Field:
    """What a cell sees along one axis, by the law.

    Attributes:
        size: pixels of the receptive field, padding counted as pixels; infinite after a global
            operation.
        stride: pixels between neighbouring cells.
        offset: where the first cell lies, in pixels: the centre of its field, but for ``skew``.
        skew: from where a cell lies to the centre of its field. Not zero where maps were joined
            that do not see the same places.
    """

    size: float = 1
    stride: float = 1
    offset: float = 0
    skew: float = 0

    @property
    def grid(self) -> Grid:
        """Where the cells lie."""
        return Grid(self.stride, self.offset)

    def centre(self, cell: float) -> float:
        """Return the centre of a cell's field, in pixels."""
        return self.offset + self.stride * cell + self.skew

    def window(self, kernel: int, stride: int, padding: float, dilation: int) -> Field:
        """Return the field after a convolution or pooling window."""
        reach = (kernel - 1) * dilation
        return Field(
            self.size + reach * self.stride,
            self.stride * stride,
            self.offset + (reach / 2 - padding) * self.stride,
            self.skew,
        )

    def deconvolved(self, kernel: int, stride: int, padding: int, dilation: int) -> Field:
        """Return the field after a transposed convolution; the size is that of the widest cell."""
        reach = (kernel - 1) * dilation
        fine = self.stride / stride
        cells = math.ceil((reach + 1) / stride) - 1
        return Field(
            self.size + cells * self.stride,
            fine,
            self.offset + (padding - reach / 2) * fine,
            self.skew,
        )

    def taken(self, first: float, step: float, reach: float = 0) -> Field:
        """Return the field of cells ``first + step * i``, each joined with others up to reach."""
        return Field(
            self.size + reach * self.stride,
            self.stride * step,
            self.offset + first * self.stride,
            self.skew,
        )

    def endless(self) -> Field:
        """Return the field after a global operation."""
        return replace(self, size=math.inf, skew=0)


@dataclass(frozen=True, eq=False)
class Axis:
    """One axis of a map.

    Attributes:
        field: the law.
        first: per cell, the first pixel of the image that it sees.
        last: per cell, the last one; less than ``first`` of a cell that sees padding only.
    """

    field: Field
    first: Cells
    last: Cells

    def __len__(self) -> int:
        return len(self.first)

    @classmethod
    def pixels(cls, length: int) -> Axis:
        """The axis of the image itself."""
        places = np.arange(length)
        return cls(Field(), places, places)

    def span(self, cell: int) -> tuple[int, int] | None:
        """Return the first pixel and the last + 1 that a cell sees; None when it sees none."""
        first, last = int(self.first[cell]), int(self.last[cell])
        return (first, last + 1) if first <= last else None

    def gathered(self, table: Cells, field: Field) -> Axis:
        """Return the axis whose cells take those of a table; places outside are padding.

        Shape:
            table: (cells, taps) of positions.
        """
        inside = (table >= 0) & (table < len(self))
        position = np.where(inside, table, 0)
        return Axis(
            field,
            np.where(inside, self.first[position], _NEVER).min(1, initial=_NEVER),
            np.where(inside, self.last[position], -1).max(1, initial=-1),
        )

    def windowed(
        self, length: int, kernel: int, stride: int, padding: float, dilation: int
    ) -> Axis:
        """Return the axis after a convolution or pooling window."""
        table = np.arange(length)[:, None] * stride - int(padding) + np.arange(kernel) * dilation
        return self.gathered(table, self.field.window(kernel, stride, padding, dilation))

    def deconvolved(
        self, length: int, kernel: int, stride: int, padding: int, dilation: int
    ) -> Axis:
        """Return the axis after a transposed convolution."""
        place = np.arange(length)[:, None] + padding - np.arange(kernel) * dilation
        table = np.where(place % stride == 0, place // stride, -1)
        return self.gathered(table, self.field.deconvolved(kernel, stride, padding, dilation))

    def everything(self, length: int) -> Axis:
        """Return the axis whose cells all see what any cell saw."""
        first = np.full(length, self.first.min(initial=_NEVER))
        return Axis(self.field.endless(), first, np.full(length, self.last.max(initial=-1)))

    def averaged(self, regions: int) -> Axis:
        """Return the axis after adaptive pooling: region i is i n / m up to (i + 1) n / m."""
        bounds = [
            (i * len(self) // regions, -(-(i + 1) * len(self) // regions)) for i in range(regions)
        ]
        return self.pooled(bounds, len(self) / regions)

    def pooled(self, bounds: Sequence[tuple[int, int]], step: float) -> Axis:
        """Return the axis whose cells each see the cells from a first up to a last + 1.

        Args:
            bounds: first and last + 1 of each.
            step: cells from one to the next. A single one has no next: its stride is kept.
        """
        firsts = [self.first[a:b].min(initial=_NEVER) for a, b in bounds]
        lasts = [self.last[a:b].max(initial=-1) for a, b in bounds]
        field = self.field.taken((step - 1) / 2, step) if len(bounds) > 1 else self.field
        return Axis(field.endless(), np.array(firsts), np.array(lasts))

    def stretched(self, length: int) -> Axis:
        """Return the axis of as many cells: a single one stands for all."""
        if len(self) == length:
            return self
        if len(self) == 1:
            return Axis(self.field, self.first.repeat(length), self.last.repeat(length))
        return self.everything(length)


def joined(axes: Sequence[Axis], length: int) -> Axis:
    """Return the axis of maps that were added or multiplied place by place, or stacked.

    Cells lie where those of the first map that keeps places lie.
    """
    if len(axes) == 1:
        return axes[0].stretched(length)
    placed = [axis for axis in axes if len(axis) == length and math.isfinite(axis.field.size)]
    main = (placed or list(axes))[0]
    stretched = [axis.stretched(length) for axis in axes]
    return Axis(
        _union(main.field, [axis.field for axis in axes], (length - 1) / 2),
        np.minimum.reduce([axis.first for axis in stretched]),
        np.maximum.reduce([axis.last for axis in stretched]),
    )


def chained(axes: Sequence[Axis]) -> Axis:
    """Return the axis of maps that were put end to end."""
    wide = _union(axes[0].field, [axis.field for axis in axes], 0)
    return Axis(
        replace(axes[0].field, size=wide.size),
        np.concatenate([axis.first for axis in axes]),
        np.concatenate([axis.last for axis in axes]),
    )


def _union(main: Field, fields: Sequence[Field], cell: float) -> Field:
    """Return the smallest field that holds all; where their strides differ, that of one cell."""
    if any(math.isinf(field.size) for field in fields):
        return main.endless()
    low = min(field.centre(cell) - (field.size - 1) / 2 for field in fields)
    high = max(field.centre(cell) + (field.size - 1) / 2 for field in fields)
    skew = (low + high) / 2 - (main.offset + main.stride * cell)
    return replace(main, size=high - low + 1, skew=skew)


def both(step: Callable[..., Axis], axes: Sequence[Axis], *pairs: Sequence[object]) -> list[Axis]:
    """Apply a step to rows and columns, each with its own of every pair of arguments."""
    return [step(axis, *own) for axis, *own in zip(axes, *pairs, strict=True)]
