"""Kernels and crops follow from where the grids lie."""

from __future__ import annotations

import pytest

from lookwider.errors import LookwiderError
from lookwider.layers.grids import PIXELS, Grid, deconvolution_between


@pytest.mark.parametrize(
    ("coarse", "fine", "kernel", "crop"),
    [
        (Grid(32, 12.5), PIXELS, 64, -19),  # FCN-32s
        (Grid(32, 12.5), Grid(16, -91.5), 4, 5),  # pool4 of 16s and 8s
        (Grid(16, -11.5), PIXELS, 32, -27),  # FCN-16s
        (Grid(16, -11.5), Grid(8, -95.5), 4, 9),  # pool3 of 8s
        (Grid(8, -23.5), PIXELS, 16, -31),  # FCN-8s
        (Grid(32, 13), PIXELS, 63, -18),  # FCN-AlexNet
    ],
)
def test_the_offsets_of_the_release(coarse, fine, kernel, crop):
    step = deconvolution_between(coarse, fine)
    assert (step.kernel, step.crop) == (kernel, crop)


def test_cells_between_cells():
    with pytest.raises(LookwiderError, match="no bilinear deconvolution joins them"):
        deconvolution_between(Grid(8, 0.25), PIXELS)


def test_strides_that_do_not_divide():
    with pytest.raises(LookwiderError, match="cannot upsample from stride 12 to 8"):
        deconvolution_between(Grid(12, 0), Grid(8, 0))
