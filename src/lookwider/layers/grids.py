"""Where the cells of a feature map lie in the image; crops and kernels follow from that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from lookwider.errors import LookwiderError


@dataclass(frozen=True)
class Grid:
    """The places of a map's cells: cell i is centred on pixel ``offset + stride * i``.

    Attributes:
        stride: pixels from cell to cell.
        offset: the first cell's centre, in pixels; negative where padding let the network start
            outside the image.
    """

    stride: float
    offset: float

    def finer(self, factor: int, kernel: int) -> Grid:
        """Return the grid after a deconvolution of this kernel with stride ``factor``."""
        stride = self.stride / factor
        return Grid(stride, self.offset - (kernel - 1) / 2 * stride)


PIXELS = Grid(stride=1, offset=0)
"""The grid of the image itself."""


class Deconvolution(NamedTuple):
    """A bilinear deconvolution from one grid onto another.

    Attributes:
        kernel: filter size, even or odd so that cells fall on cells.
        factor: stride of the deconvolution.
        crop: cells of the target grid before the deconvolution's first; negative where the
            deconvolution starts first and has to be cropped itself.
    """

    kernel: int
    factor: int
    crop: int


def deconvolution_between(coarse: Grid, fine: Grid) -> Deconvolution:
    """Derive the deconvolution that takes one grid onto another.

    The crop offsets of the released FCNs (19; 5 and 27; 5, 9 and 31; 18 for AlexNet) all follow
    from the padding of 100 pixels and the pooling: they are where the grids lie.

    Raises:
        LookwiderError: the strides do not divide, or no bilinear kernel lands on the fine grid.

    Example:
        >>> deconvolution_between(Grid(32, 12.5), PIXELS)
        Deconvolution(kernel=64, factor=32, crop=-19)
    """
    factor = coarse.stride / fine.stride
    if factor != int(factor) or factor < 1:
        raise LookwiderError(
            f"cannot upsample from stride {coarse.stride:g} to {fine.stride:g}: "
            "the first must be a multiple of the second"
        )
    for kernel in (2 * int(factor), 2 * int(factor) - 1):
        crop = (coarse.finer(int(factor), kernel).offset - fine.offset) / fine.stride
        if crop == int(crop):
            return Deconvolution(kernel, int(factor), int(crop))
    raise LookwiderError(
        f"cells at {coarse.offset:g} + {coarse.stride:g} i lie between those at {fine.offset:g} + "
        f"{fine.stride:g} i: no bilinear deconvolution joins them; use upsampling='interpolation'"
    )
