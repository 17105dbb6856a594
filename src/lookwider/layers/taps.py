"""Two taps per axis: every upsampling to the image is two coarse rows and two coarse columns.

Aligned-corner bilinear, half-pixel bilinear, bilinear by cell centres, and a bilinear
deconvolution followed by a crop all have this form (FCN, Long et al. 2015, section 3.3).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function

from lookwider.errors import LookwiderError


@dataclass(frozen=True, eq=False)
class Taps:
    """How each output place of one axis is a weighted sum of two input places.

    ``output[i] = low_weight[i] * input[low[i]] + high_weight[i] * input[high[i]]``

    Attributes:
        length: input places.
        low: (outputs,) int64, ascending.
        high: (outputs,) int64, ``low`` or ``low + 1``.
        low_weight: (outputs,) float64.
        high_weight: (outputs,) float64; the two may sum to less than 1 at the border of a
            deconvolution, which fades to zero there.
    """

    length: int
    low: Tensor
    high: Tensor
    low_weight: Tensor
    high_weight: Tensor

    def __len__(self) -> int:
        return int(self.low.shape[0])

    def __getitem__(self, outputs: slice) -> Taps:
        """Return the taps of some of the outputs."""
        return Taps(
            self.length,
            self.low[outputs],
            self.high[outputs],
            self.low_weight[outputs],
            self.high_weight[outputs],
        )

    def tensors(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return low, high and their weights, for operators that take tensors only."""
        return self.low, self.high, self.low_weight, self.high_weight

    def narrowed(self) -> tuple[slice, Taps]:
        """Return the input places that are used at all, and the taps counted from the first."""
        first, last = int(self.low.min()), int(self.high.max())
        taps = Taps(
            last + 1 - first, self.low - first, self.high - first, self.low_weight, self.high_weight
        )
        return slice(first, last + 1), taps

    def matrix(self) -> Tensor:
        """Return the taps as a dense (outputs, inputs) float64 matrix."""
        dense = torch.zeros(len(self), self.length, dtype=torch.float64)
        index = torch.arange(len(self))
        dense[index, self.low] += self.low_weight
        dense[index, self.high] += self.high_weight
        return dense

    @classmethod
    def from_positions(cls, positions: Tensor, length: int) -> Taps:
        """Interpolate linearly at real-valued input positions, clamped to the first and last.

        Shape:
            positions: (outputs,) float64.
        """
        positions = positions.clamp(0, length - 1)
        low = positions.floor().long().clamp(max=length - 1)
        high = (low + 1).clamp(max=length - 1)
        fraction = positions - low
        return cls(length, low, high, 1 - fraction, fraction)

    @classmethod
    def aligned(cls, length: int, size: int) -> Taps:
        """First and last places coincide, as ``interpolate(..., align_corners=True)``."""
        step = (length - 1) / (size - 1) if size > 1 else 0.0
        return cls.from_positions(_arange(size) * step, length)

    @classmethod
    def half_pixel(cls, length: int, size: int) -> Taps:
        """Places are areas, as ``interpolate(..., align_corners=False)`` to a size."""
        return cls.from_positions((_arange(size) + 0.5) * (length / size) - 0.5, length)

    @classmethod
    def centred(cls, length: int, size: int, stride: float, offset: float) -> Taps:
        """Places lie where they were measured: place i at ``offset + stride * i`` of the output.

        Equal to `half_pixel` for stride s and offset (s - 1) / 2 when sizes divide, and to
        `aligned` for offset 0 and size ``stride * (length - 1) + 1``.
        """
        return cls.from_positions((_arange(size) - offset) / stride, length)

    @classmethod
    def deconvolution(
        cls, length: int, kernel: int, stride: int, crop: int = 0, size: int | None = None
    ) -> Taps:
        """A deconvolution with the bilinear filter, then ``size`` outputs from ``crop`` on.

        Beyond the first and last centre it fades to zero, as in the released FCN-32s.

        Raises:
            LookwiderError: more than two inputs meet in an output, or the crop does not fit.
        """
        if kernel > 2 * stride:
            raise LookwiderError(
                f"a bilinear deconvolution of kernel {kernel} and stride {stride} mixes more than "
                f"two places; expected a kernel of at most {2 * stride}"
            )
        full = (length - 1) * stride + kernel
        size = full - crop if size is None else size
        if crop < 0 or size < 1 or crop + size > full:
            raise LookwiderError(
                f"cannot crop {size} places from {crop} on out of the {full} of a deconvolution"
            )
        filter1d = torch.tensor(bilinear_filter(kernel), dtype=torch.float64)
        place = torch.arange(size) + crop
        high = place // stride
        low = high - 1

        def weight(cell: Tensor) -> Tensor:
            tap = place - stride * cell
            inside = (cell >= 0) & (cell < length) & (tap < kernel)
            return torch.where(inside, filter1d[tap.clamp(0, kernel - 1)], 0.0)

        low_weight, high_weight = weight(low), weight(high)
        return cls(
            length, low.clamp(0, length - 1), high.clamp(0, length - 1), low_weight, high_weight
        )

    @classmethod
    def identity(cls, length: int, crop: int = 0, size: int | None = None) -> Taps:
        """No change but a crop.

        Raises:
            LookwiderError: the crop does not fit.
        """
        size = length - crop if size is None else size
        if crop < 0 or size < 1 or crop + size > length:
            raise LookwiderError(f"cannot crop {size} places from {crop} on out of {length}")
        place = torch.arange(size) + crop
        return cls(
            length, place, place, torch.ones(size).double(), torch.zeros(size, dtype=torch.float64)
        )


def bilinear_filter(kernel: int) -> list[float]:
    """Return the one-dimensional bilinear filter of a deconvolution, as Caffe's filler makes it.

    Example:
        >>> bilinear_filter(4)
        [0.25, 0.75, 0.75, 0.25]
    """
    factor = (kernel + 1) // 2
    centre = factor - 1 if kernel % 2 == 1 else factor - 0.5
    return [1 - abs(place - centre) / factor for place in range(kernel)]


def resample(maps: Tensor, rows: Taps, cols: Taps) -> Tensor:
    """Apply taps to both axes.

    Shape:
        (..., h, w) -> (..., len(rows), len(cols)), in the dtype of ``maps``.
    """
    if has_torch_function((maps,)):  # receptive fields are traced through it as through one step
        result: Tensor = handle_torch_function(resample, (maps,), maps, rows, cols)
        return result
    check_taps(maps, rows, cols)
    return _along(_along(maps, cols, -1), rows, -2)


def check_taps(maps: Tensor, rows: Taps, cols: Taps) -> None:
    """Check that taps are those of maps of this size.

    Raises:
        LookwiderError: they are of another size.
    """
    if tuple(maps.shape[-2:]) != (rows.length, cols.length):
        raise LookwiderError(
            f"got maps of {tuple(maps.shape[-2:])}, expected {(rows.length, cols.length)}: make "
            "the taps for the size of the maps"
        )


def _along(maps: Tensor, taps: Taps, axis: int) -> Tensor:
    shape = [1] * maps.dim()
    shape[axis] = len(taps)
    device, dtype = maps.device, maps.dtype
    low = maps.index_select(axis, taps.low.to(device))
    high = maps.index_select(axis, taps.high.to(device))
    low_weight = taps.low_weight.to(device, dtype).view(shape)
    return low * low_weight + high * taps.high_weight.to(device, dtype).view(shape)


def _arange(size: int) -> Tensor:
    if size < 1:
        raise LookwiderError(f"got an output size of {size}, expected at least 1")
    return torch.arange(size, dtype=torch.float64)
