"""Bilinear deconvolutions, fixed or learned (FCN, Long et al. 2015, section 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lookwider.layers.taps import Taps, bilinear_filter, resample


class LearnedDeconvolution(nn.ConvTranspose2d):
    """A deconvolution that starts as bilinear interpolation and is learned from there.

    The filter of class k to class k is bilinear, those between classes start at zero.

    Args:
        channels: maps in and out.
        kernel: filter size.
        stride: upsampling factor.
        grouped: one filter per map instead of a full matrix of filters (ParseNet's release).
        bias: add a learned bias.
    """

    def __init__(
        self, channels: int, kernel: int, stride: int, *, grouped: bool = False, bias: bool = False
    ) -> None:
        groups = channels if grouped else 1
        super().__init__(channels, channels, kernel, stride, groups=groups, bias=bias)
        line = torch.tensor(bilinear_filter(kernel))
        with torch.no_grad():
            self.weight.zero_()
            diagonal = torch.arange(channels)
            self.weight[diagonal, 0 if grouped else diagonal] = torch.outer(line, line)
            if self.bias is not None:
                self.bias.zero_()


def bilinear_deconvolution(maps: Tensor, kernel: int, stride: int) -> Tensor:
    """Deconvolve each map with the fixed bilinear filter.

    Shape:
        (N, C, h, w) -> (N, C, (h - 1) * stride + kernel, (w - 1) * stride + kernel).
    """
    rows, cols = (Taps.deconvolution(length, kernel, stride) for length in maps.shape[-2:])
    return resample(maps, rows, cols)
