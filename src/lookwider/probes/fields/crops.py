"""The smallest part of an image that gives a place the value that the whole image gives it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lookwider.errors import LookwiderError
from lookwider.layers.field_axes import Field
from lookwider.probes.fields.theoretical import Box, TheoreticalField
from lookwider.probes.network import Network

WORTH = 0.7
"""Share of the image's pixels up to which a part of it is worth the check."""

_TOLERANCE = 1e-4
"""Relative to the largest unit: rounding, when the part gives what the image gives."""


@dataclass(frozen=True)
class Part:
    """A rectangle of the image, and the cell of the layer that is watched in it."""

    box: Box
    cell: tuple[int, int]

    @property
    def corner(self) -> tuple[int, int]:
        """The first row and column."""
        return self.box.top, self.box.left

    def of(self, images: Tensor) -> Tensor:
        """Return this part of images."""
        box = self.box
        return images[..., box.top : box.bottom, box.left : box.right]

    def reader(self, network: Network, layer: str) -> Callable[[Tensor], Tensor]:
        """Return what gives the place's units for parts of images: (N, C, h, w) -> (N, C)."""
        row, col = self.cell

        def read(images: Tensor) -> Tensor:
            return network.activations(images, [layer])[layer][:, :, row, col]

        return read


def smallest_part(network: Network, images: Tensor, field: TheoreticalField, noise: Tensor) -> Part:
    """Return a part of the image that suffices for a place, or the whole image.

    A part suffices when it holds the place's theoretical field, padding counted as pixels, and
    begins where all strides have a cell: then no cell on the way is nearer to a border than in
    the whole image. Networks may resize maps in other ways, so the place's values are compared,
    for the image and for noise.
    """
    whole = Part(Box(0, 0, *field.size), field.cell)
    step = _common_stride(network, field)
    if step is None:
        return whole
    spans = [
        _span(law, cell, length, step)
        for law, cell, length in zip((field.rows, field.cols), field.cell, field.size, strict=True)
    ]
    (top, bottom), (left, right) = spans
    box = Box(top, left, bottom, right)
    cells = field.cell[0] - top / field.rows.stride, field.cell[1] - left / field.cols.stride
    if box.area > WORTH * math.prod(field.size) or any(cell != int(cell) for cell in cells):
        return whole
    part = Part(box, (int(cells[0]), int(cells[1])))
    return part if _agrees(network, field, whole, part, [images, noise]) else whole


@torch.no_grad()
def field_suffices(
    network: Network, images: Tensor, field: TheoreticalField, noise: Tensor
) -> bool:
    """Return whether noise everywhere outside its field leaves a place as it is."""
    if field.area == images.shape[-2] * images.shape[-1]:
        return True
    box = field.box
    inside = (..., slice(box.top, box.bottom), slice(box.left, box.right))
    covered = noise.clone()
    covered[inside] = images[inside]
    read = Part(Box(0, 0, *field.size), field.cell).reader(network, field.layer)
    expected = read(images)
    scale = float(expected.abs().max())
    if not math.isfinite(scale):  # tells nothing; the caller refuses such values
        return True
    return torch.allclose(read(covered), expected, rtol=0, atol=_TOLERANCE * scale, equal_nan=True)


def _common_stride(network: Network, field: TheoreticalField) -> int | None:
    """Return what all strides up to the layer divide; None where fields are endless."""
    strides = [1]
    for name, layer in network.fields(field.size).items():
        for law in (layer.rows, layer.cols):
            if math.isfinite(law.size) and law.stride >= 1:
                if law.stride != int(law.stride):
                    return None
                strides.append(int(law.stride))
        if name == field.layer:
            break
    return math.lcm(*strides) if math.isfinite(field.rows.size + field.cols.size) else None


def _span(law: Field, cell: int, length: int, step: int) -> tuple[int, int]:
    """Return the first and last + 1 of the rows or columns that a cell's field needs."""
    low = law.centre(cell) - (law.size - 1) / 2
    high = law.centre(cell) + (law.size - 1) / 2 + 1
    first = max(0, math.floor(low / step) * step)
    return first, min(length, max(first + step, math.ceil(high / step) * step))


@torch.no_grad()
def _agrees(
    network: Network, field: TheoreticalField, whole: Part, part: Part, samples: list[Tensor]
) -> bool:
    """Return whether the part gives the place the values that the whole images give it."""
    try:
        for images in samples:
            expected = whole.reader(network, field.layer)(images)
            got = part.reader(network, field.layer)(part.of(images))
            scale = float(expected.abs().max())
            tolerance = _TOLERANCE * scale
            if not (math.isfinite(scale) and torch.allclose(got, expected, rtol=0, atol=tolerance)):
                return False
    except (LookwiderError, IndexError):  # the network does not take so small an image
        return False
    return True
