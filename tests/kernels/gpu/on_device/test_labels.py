"""Labels of the kernel against upsampling everything, bit for bit."""

from __future__ import annotations

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.kernels.gpu.cases import axes, random_scores

from lookwider.errors import LookwiderError
from lookwider.kernels.gpu.labels import upsampled_labels
from lookwider.kernels.strips import strip_labels
from lookwider.layers.taps import Taps, resample

SEEDS = st.integers(0, 2**31)


def plain(scores, rows, cols):
    return resample(scores.float(), rows, cols).argmax(1)


@settings(deadline=None, max_examples=12, phases=[Phase.generate])  # shrinking takes minutes
@given(axes(2, 12), axes(3, 12), st.integers(1, 2), st.sampled_from([1, 2, 5, 19]), SEEDS)
def test_labels_are_those_of_the_plain_form(device, rows, cols, batch, num_classes, seed):
    scores = random_scores(seed, batch, num_classes, rows, cols)
    if seed % 2:
        scores = scores.round()  # many true ties
    labels = upsampled_labels(scores.to(device), rows, cols, torch.uint8)
    assert labels.dtype == torch.uint8
    assert torch.equal(labels.cpu().long(), plain(scores, rows, cols))
    assert torch.equal(labels.cpu(), strip_labels(scores, rows, cols, torch.uint8))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_scores_are_upsampled_in_float32(device, dtype):
    rows, cols = Taps.half_pixel(3, 13), Taps.aligned(2, 9)
    scores = random_scores(1, 1, 6, rows, cols).to(dtype)
    labels = upsampled_labels(scores.to(device), rows, cols, torch.uint8)
    assert torch.equal(labels.cpu().long(), plain(scores, rows, cols))


def test_more_than_256_classes(device):
    rows, cols = Taps.half_pixel(2, 5), Taps.half_pixel(2, 6)
    scores = random_scores(2, 1, 300, rows, cols)
    labels = upsampled_labels(scores.to(device), rows, cols, torch.int64)
    assert labels.dtype == torch.int64
    assert labels.max() > 255
    assert torch.equal(labels.cpu(), plain(scores, rows, cols))


def test_any_strides(device):
    rows, cols = Taps.half_pixel(2, 9), Taps.aligned(3, 11)
    scores = random_scores(3, 2, 8, rows, cols)
    expected = plain(scores[:, 1:7:2], rows, cols)
    for strided in (scores, scores.contiguous(memory_format=torch.channels_last)):
        labels = upsampled_labels(strided.to(device)[:, 1:7:2], rows, cols, torch.int64)
        assert torch.equal(labels.cpu(), expected)


def test_infinite_scores_count_as_very_large_ones(device):
    rows = cols = Taps.aligned(2, 5)
    scores = random_scores(4, 1, 4, rows, cols)
    scores[:, 2] = float("-inf")
    scores[0, 3, 1, 1] = float("inf")
    labels = upsampled_labels(scores.to(device), rows, cols, torch.int64).cpu()
    assert torch.equal(labels, plain(scores.nan_to_num(posinf=1e30, neginf=-1e30), rows, cols))
    assert (labels != 2).all()
    assert (labels[0, 1:, 1:] == 3).all()


def test_nan_is_an_error(device):
    rows = cols = Taps.aligned(2, 3)
    scores = random_scores(5, 1, 2, rows, cols)
    scores[0, 1, 1, 0] = float("nan")
    with pytest.raises(LookwiderError, match="scores hold NaN; the weights or the image"):
        upsampled_labels(scores.to(device), rows, cols, torch.uint8)


def test_an_empty_batch(device):
    rows = cols = Taps.aligned(2, 3)
    labels = upsampled_labels(torch.empty(0, 2, 2, 2, device=device), rows, cols, torch.uint8)
    assert labels.shape == (0, 3, 3)


def test_inside_a_compiled_function(device):
    rows, cols = Taps.half_pixel(2, 5), Taps.aligned(2, 4)
    scores = random_scores(6, 1, 3, rows, cols).to(device)

    @torch.compile(backend="aot_eager", fullgraph=True)
    def labelled(scores):
        return upsampled_labels(scores * 2, rows, cols, torch.uint8) + 1

    assert torch.equal(labelled(scores), upsampled_labels(scores, rows, cols, torch.uint8) + 1)
