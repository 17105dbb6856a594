"""Two-tap upsampling against PyTorch's interpolation and transposed convolution."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from lookwider.errors import LookwiderError
from lookwider.layers.taps import Taps, bilinear_filter, resample

lengths = st.integers(1, 40)


def upsampled(taps: Taps, line: torch.Tensor) -> torch.Tensor:
    return resample(line[None, :], Taps.identity(1), taps)[0]


@given(length=lengths, size=lengths)
def test_aligned_is_interpolate_with_aligned_corners(length, size):
    line = torch.randn(length, dtype=torch.float64)
    expected = functional.interpolate(
        line[None, None, None], (1, size), mode="bilinear", align_corners=True
    )[0, 0, 0]
    torch.testing.assert_close(upsampled(Taps.aligned(length, size), line), expected)


@given(length=lengths, size=lengths)
def test_half_pixel_is_interpolate_without_aligned_corners(length, size):
    line = torch.randn(length, dtype=torch.float64)
    expected = functional.interpolate(
        line[None, None, None], (1, size), mode="bilinear", align_corners=False
    )[0, 0, 0]
    torch.testing.assert_close(upsampled(Taps.half_pixel(length, size), line), expected)


@given(length=lengths, stride=st.integers(1, 33), odd=st.booleans(), data=st.data())
def test_deconvolution_is_a_cropped_transposed_convolution(length, stride, odd, data):
    kernel = max(2 * stride - odd, 1)
    full = (length - 1) * stride + kernel
    crop = data.draw(st.integers(0, full - 1))
    size = data.draw(st.integers(1, full - crop))
    line = torch.randn(length, dtype=torch.float64)
    weight = torch.tensor(bilinear_filter(kernel), dtype=torch.float64)
    expected = functional.conv_transpose1d(line[None, None], weight[None, None], stride=stride)
    taps = Taps.deconvolution(length, kernel, stride, crop, size)
    torch.testing.assert_close(upsampled(taps, line), expected[0, 0, crop : crop + size])


@given(cells=st.integers(1, 20), stride=st.sampled_from([2, 4, 8, 16, 32]))
def test_centred_is_half_pixel_and_aligned_where_those_are_centred(cells, stride):
    line = torch.randn(cells, dtype=torch.float64)
    half = upsampled(Taps.half_pixel(cells, cells * stride), line)
    centred = Taps.centred(cells, cells * stride, stride, (stride - 1) / 2)
    torch.testing.assert_close(upsampled(centred, line), half)
    size = stride * (cells - 1) + 1
    aligned = upsampled(Taps.aligned(cells, size), line)
    torch.testing.assert_close(upsampled(Taps.centred(cells, size, stride, 0), line), aligned)


@given(length=lengths, size=lengths, start=st.integers(0, 39), count=st.integers(1, 40))
def test_narrowed_taps_of_a_strip_give_the_same(length, size, start, count):
    taps = Taps.half_pixel(length, size)[slice(min(start, size - 1), start + count)]
    used, narrow = taps.narrowed()
    line = torch.randn(length, dtype=torch.float64)
    assert torch.equal(upsampled(narrow, line[used]), upsampled(taps, line))


@given(length=lengths, size=lengths)
def test_the_dense_matrix_is_the_taps(length, size):
    taps = Taps.aligned(length, size)
    line = torch.randn(length, dtype=torch.float64)
    torch.testing.assert_close(taps.matrix() @ line, upsampled(taps, line))


def test_both_axes_against_opencv():
    cv2 = pytest.importorskip("cv2", reason="OpenCV is a test extra")
    image = np.random.default_rng(0).random((7, 9)).astype(np.float32)
    ours = resample(torch.from_numpy(image), Taps.half_pixel(7, 21), Taps.half_pixel(9, 40))
    expected = cv2.resize(image, (40, 21), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(ours.numpy(), expected, atol=2e-6)


def test_bilinear_filters_of_the_release(facts):
    for kernel, values in facts("layer_vectors")["bilinear_1d"].items():
        assert bilinear_filter(int(kernel)) == pytest.approx(values, abs=1e-12)


def test_aligned_vectors_of_the_release(facts):
    vectors = facts("layer_vectors")["interp_align_corners_1d"]
    line = torch.tensor(vectors["input"], dtype=torch.float64)
    for name, values in vectors.items():
        if name.startswith("3->"):
            result = upsampled(Taps.aligned(3, len(values)), line)
            assert result.tolist() == pytest.approx(values, abs=1e-6)


def test_errors():
    with pytest.raises(LookwiderError, match="kernel 7 and stride 3 mixes more than two places"):
        Taps.deconvolution(4, 7, 3)
    with pytest.raises(LookwiderError, match="cannot crop 20 places from 2 on out of the 10"):
        Taps.deconvolution(4, 4, 2, crop=2, size=20)
    with pytest.raises(LookwiderError, match="cannot crop 5 places from 3 on out of 4"):
        Taps.identity(4, crop=3, size=5)
    with pytest.raises(LookwiderError, match="output size of 0"):
        Taps.aligned(3, 0)
    with pytest.raises(LookwiderError, match=r"got maps of \(2, 2\), expected \(3, 3\)"):
        resample(torch.zeros(2, 2), Taps.identity(3), Taps.identity(3))
