"""The theoretical receptive field of one place: every pixel that can reach it.

FCN (Long et al. 2015), section 3.1: sizes and strides of layers compose. What the image's border
cuts off does not count.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lookwider.errors import ConfigError
from lookwider.layers.field_axes import Axis, Field
from lookwider.probes.network import Network


class Box(NamedTuple):
    """Pixels of the image: from the first row and column up to the last + 1."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        """Rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Columns."""
        return self.right - self.left

    @property
    def area(self) -> int:
        """Pixels."""
        return self.height * self.width


@dataclass(frozen=True)
class TheoreticalField:
    """What can reach one cell of a layer.

    Attributes:
        layer: full name of the layer.
        at: the pixel (row, column) that was asked for.
        cell: the cell nearest to it.
        size: (height, width) of the image.
        rows: the law of the layer's rows: size, stride and place, padding counted as pixels.
        cols: the law of its columns.
        box: the smallest rectangle of pixels that holds all that reach the cell; empty where
            the cell sees padding only.
    """

    layer: str
    at: tuple[int, int]
    cell: tuple[int, int]
    size: tuple[int, int]
    rows: Field
    cols: Field
    box: Box

    @property
    def extent(self) -> tuple[float, float]:
        """(height, width) by the law, beyond the image too; infinite after a global operation."""
        return self.rows.size, self.cols.size

    @property
    def stride(self) -> tuple[float, float]:
        """Pixels from cell to cell, down and right."""
        return self.rows.stride, self.cols.stride

    @property
    def centre(self) -> tuple[float, float]:
        """The middle of the field in pixels: by the law, or of the box where that is endless."""
        box, (row, col) = self.box, self.cell
        if math.isinf(self.rows.size) or math.isinf(self.cols.size):
            return (box.top + box.bottom - 1) / 2, (box.left + box.right - 1) / 2
        return self.rows.centre(row), self.cols.centre(col)

    @property
    def area(self) -> int:
        """Pixels of the image inside the field."""
        return self.box.area

    @property
    def share_of_image(self) -> float:
        """Share of the image's pixels that the field holds."""
        return self.area / (self.size[0] * self.size[1])

    @property
    def side(self) -> float:
        """Side of a square of the field's area."""
        return math.sqrt(self.area)

    def mask(self) -> npt.NDArray[np.bool_]:
        """Return which pixels lie in the field.

        Shape:
            (H, W).
        """
        inside = np.zeros(self.size, np.bool_)
        inside[self.box.top : self.box.bottom, self.box.left : self.box.right] = True
        return inside

    def widened(self) -> TheoreticalField:
        """Return the field that holds the whole image: more reaches the place than was traced."""
        return replace(
            self,
            rows=self.rows.endless(),
            cols=self.cols.endless(),
            box=Box(0, 0, *self.size),
        )

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON holds it; an endless size becomes None."""
        return {
            "layer": self.layer,
            "at": list(self.at),
            "cell": list(self.cell),
            "image": list(self.size),
            "size": [None if math.isinf(length) else length for length in self.extent],
            "stride": list(self.stride),
            "centre": list(self.centre),
            "box": self.box._asdict(),
            "area": self.area,
            "side": self.side,
            "share_of_image": self.share_of_image,
        }


def theoretical_field(
    network: Network, layer: str, at: tuple[int, int], size: tuple[int, int]
) -> TheoreticalField:
    """Return what can reach the cell of a layer that is nearest to a pixel.

    Args:
        network: to trace; its weights do not matter.
        layer: name, or the end of one; ``"scores"`` for the class scores.
        at: (row, column) of the pixel.
        size: (height, width) of the image.

    Raises:
        ConfigError: the pixel lies outside the image, or there is no such layer.
        LookwiderError: the network cannot take images of that size.

    Example:
        >>> from torch import nn
        >>> network = Network(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, stride=2)))
        >>> theoretical_field(network, "1", (10, 10), (32, 32)).box
        Box(top=8, left=8, bottom=13, right=13)
    """
    check_place(at, size)
    name = network.layer(layer, size)
    traced = network.fields(size)[name]
    axes = (traced.row_axis, traced.col_axis)
    row, col = (_nearest(axis, place) for axis, place in zip(axes, at, strict=True))
    spans = traced.row_axis.span(row), traced.col_axis.span(col)
    (top, bottom), (left, right) = (span or (0, 0) for span in spans)
    if None in spans:
        top, left, bottom, right = 0, 0, 0, 0
    return TheoreticalField(
        layer=name,
        at=at,
        cell=(row, col),
        size=size,
        rows=traced.rows,
        cols=traced.cols,
        box=Box(top, left, bottom, right),
    )


def check_place(at: tuple[int, int], size: tuple[int, int]) -> None:
    """Raise a `ConfigError` when a pixel lies outside an image."""
    if not (0 <= at[0] < size[0] and 0 <= at[1] < size[1]):
        raise ConfigError(
            f"row {at[0]}, column {at[1]} lies outside the image of {size[0]}x{size[1]} pixels; "
            f"expected a row of 0..{size[0] - 1} and a column of 0..{size[1] - 1}"
        )


def _nearest(axis: Axis, pixel: int) -> int:
    """Return the cell that lies nearest to a pixel; the first of two that are as near."""
    cell = math.ceil((pixel - axis.field.offset) / axis.field.stride - 0.5)
    return min(max(cell, 0), len(axis) - 1)
