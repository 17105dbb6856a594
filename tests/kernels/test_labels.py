"""Labels without upsampled scores: bit for bit those of the plain form and of single pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.kernels import per_pixel
from torch.nn import functional

from lookwider.errors import LookwiderError
from lookwider.kernels.labels import finite_scores, provable, upsampled_labels
from lookwider.kernels.strips import strip_labels
from lookwider.kernels.switches import without
from lookwider.layers.taps import Taps
from lookwider.scores import ScoreMap

SHAPES = {"rows": per_pixel.axes(), "cols": per_pixel.axes()}


def scores_of(kind: str, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """Return scores: noise, many ties, a few last bits apart, huge, or smooth."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(shape, generator=generator)
    if kind == "ties":
        return torch.randint(0, 3, shape, generator=generator).float()
    if kind == "last bits":
        return 1 + torch.randint(-2, 3, shape, generator=generator) * 2.0**-23
    if kind == "infinite":
        noise[noise > 1] = torch.inf
        noise[noise < -1] = -torch.inf
    if kind == "smooth":
        return noise + 9 * noise[:, :, :1, :1]
    return noise * {"huge": 1e35, "tiny": 1e-42}.get(kind, 1.0)


@settings(max_examples=60, deadline=None)
@given(
    batch=st.integers(1, 2),
    classes=st.sampled_from([1, 2, 3, 9, 21, 40]),
    kind=st.sampled_from(["noise", "ties", "last bits", "infinite", "huge", "tiny", "smooth"]),
    channels_last=st.booleans(),
    seed=st.integers(0, 99),
    **SHAPES,
)
def test_labels_are_those_of_each_pixel(batch, classes, kind, channels_last, seed, rows, cols):
    scores = scores_of(kind, (batch, classes, rows.length, cols.length), seed)
    if channels_last:
        scores = scores.contiguous(memory_format=torch.channels_last)
    fast = upsampled_labels(scores, rows, cols, torch.int64)
    finite = finite_scores(scores)
    assert torch.equal(fast, strip_labels(finite, rows, cols, torch.int64))
    assert torch.equal(fast, per_pixel.labels(finite, rows, cols))


@settings(max_examples=15, deadline=None)
@given(dtype=st.sampled_from([torch.bfloat16, torch.float16]), seed=st.integers(0, 9), **SHAPES)
def test_half_precision_is_interpolated_in_float32(dtype, seed, rows, cols):
    scores = scores_of("infinite", (1, 5, rows.length, cols.length), seed).to(dtype)
    score_map = ScoreMap(scores, rows, cols)
    with without("labels"):
        plain = score_map.labels()
    assert torch.equal(score_map.labels(), plain)
    assert torch.equal(plain.long(), per_pixel.labels(finite_scores(scores.float()), rows, cols))


def test_labels_are_those_of_pytorchs_interpolation():
    scores = functional.interpolate(torch.randn(1, 19, 3, 4), (17, 33), mode="bicubic")
    rows, cols = Taps.aligned(17, 129), Taps.aligned(33, 257)
    full = functional.interpolate(scores, (129, 257), mode="bilinear", align_corners=True)
    fast = upsampled_labels(scores, rows, cols, torch.uint8).long()
    gap = full.amax(1) - full.gather(1, fast[:, None])[:, 0]
    assert gap.max() < 1e-5 * full.abs().max()
    assert (fast == full.argmax(1)).float().mean() > 0.9999


def test_the_result_does_not_depend_on_the_threads():
    scores = torch.randn(2, 7, 9, 11)
    rows, cols = Taps.half_pixel(9, 70), Taps.aligned(11, 90)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 3):
            torch.set_num_threads(threads)
            results.append(upsampled_labels(scores, rows, cols, torch.uint8))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*results)


def test_many_classes_need_wide_labels():
    scores = torch.zeros(1, 300, 2, 2)
    scores[:, 299] = 1
    score_map = ScoreMap(scores, Taps.aligned(2, 5), Taps.aligned(2, 5))
    assert (score_map.labels(dtype=torch.int64) == 299).all()
    with pytest.raises(LookwiderError, match=r"300 classes, of which uint8 holds 256; use labels"):
        score_map.labels()
    with pytest.raises(LookwiderError, match=r"got labels of torch.int32, expected torch.uint8"):
        score_map.labels(dtype=torch.int32)


def test_nan_is_an_error_and_no_pixel_is_no_error():
    taps = Taps.aligned(2, 5)
    scores = torch.zeros(1, 3, 2, 2)
    scores[0, 1, 1, 0] = torch.nan
    for left_out in ((), ("labels",)):
        with pytest.raises(LookwiderError, match="scores hold NaN"), without(*left_out, "triton"):
            ScoreMap(scores, taps, taps).labels()
    assert upsampled_labels(scores[:0], taps, taps, torch.uint8).shape == (0, 5, 5)


def test_weights_that_are_not_provable_take_the_plain_form():
    weights = torch.tensor([1.5, 0.5]).double()
    sharpened = Taps(2, torch.tensor([0, 0]), torch.tensor([1, 1]), weights, 1 - weights)
    assert not provable(sharpened)
    assert not provable(Taps.aligned(2, 5), sharpened)
    scores = torch.randn(1, 6, 2, 2)
    expected = per_pixel.logits(scores, sharpened, sharpened, np.float32).argmax(1)
    found = ScoreMap(scores, sharpened, sharpened).labels()
    assert torch.equal(found.long(), torch.from_numpy(expected))


def test_it_is_one_operator_of_a_compiled_graph():
    scores = torch.randn(1, 4, 3, 5)
    rows, cols = Taps.aligned(3, 8), Taps.aligned(5, 9)

    def run(maps: torch.Tensor) -> torch.Tensor:
        return upsampled_labels(maps * 2, rows, cols, torch.uint8)

    compiled = torch.compile(run, backend="eager", fullgraph=True)
    assert torch.equal(compiled(scores), run(scores))
    operator = torch.ops.lookwider.upsampled_labels.default
    arguments = (scores, list(rows.tensors()), list(cols.tensors()), torch.uint8)
    torch.library.opcheck(operator, arguments)
