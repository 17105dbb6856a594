"""ScoreMap against the plain computation on upsampled logits, in value and gradient."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from lookwider.errors import LookwiderError
from lookwider.kernels import strips
from lookwider.kernels.switches import without
from lookwider.kernels.upsampled import hardest_labels
from lookwider.layers.taps import Taps
from lookwider.scores import ScoreMap


def taps(kind: str, length: int, size: int) -> Taps:
    if kind == "aligned":
        return Taps.aligned(length, size)
    if kind == "half_pixel":
        return Taps.half_pixel(length, size)
    stride = -(-size // length) + 1
    return Taps.deconvolution(length, 2 * stride, stride, stride // 2, size)


def plain_logits(kind: str, coarse: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Upsample with PyTorch's own operators, without taps."""
    if kind in ("aligned", "half_pixel"):
        return functional.interpolate(
            coarse, size, mode="bilinear", align_corners=kind == "aligned"
        )
    channels = coarse.shape[1]
    strides = [-(-s // n) + 1 for s, n in zip(size, coarse.shape[2:], strict=True)]
    places = [torch.arange(2 * s, dtype=torch.float64) - s + 0.5 for s in strides]
    lines = [(1 - p.abs() / s).to(coarse.dtype) for p, s in zip(places, strides, strict=True)]
    weight = torch.outer(*lines)[None, None].expand(channels, 1, -1, -1)
    full = functional.conv_transpose2d(coarse, weight, stride=strides, groups=channels)
    top, left = (s // 2 for s in strides)
    return full[:, :, top : top + size[0], left : left + size[1]]


@pytest.fixture(params=[1, 2**24], ids=["strips of one row", "one strip"])
def strip_bytes(request, monkeypatch):
    monkeypatch.setattr(strips, "STRIP_BYTES", request.param)


@pytest.mark.usefixtures("strip_bytes")
@pytest.mark.parametrize("kind", ["aligned", "half_pixel", "deconvolution"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "batch"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_everything_equals_the_plain_computation(kind, reduction, weighted, smoothing):
    torch.manual_seed(0)
    coarse = torch.randn(2, 5, 4, 6, dtype=torch.float64, requires_grad=True)
    size = (13, 17)
    labels = torch.randint(0, 5, (2, *size))
    labels[torch.rand(labels.shape) < 0.3] = 255
    weight = torch.rand(5, dtype=torch.float64) if weighted else None
    score_map = ScoreMap(coarse, taps(kind, 4, 13), taps(kind, 6, 17))
    plain = plain_logits(kind, coarse, size)
    torch.testing.assert_close(score_map.logits(), plain)
    torch.testing.assert_close(score_map.labels().long(), plain.argmax(1))
    torch.testing.assert_close(
        score_map.probabilities().double(), plain.softmax(1), atol=1e-6, rtol=0
    )
    loss = score_map.cross_entropy(
        labels, weight=weight, reduction=reduction, label_smoothing=smoothing
    )
    expected = functional.cross_entropy(
        plain,
        labels,
        weight=weight,
        ignore_index=255,
        reduction="mean" if reduction == "mean" else "sum",
        label_smoothing=smoothing,
    ) / (2 if reduction == "batch" else 1)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(
        torch.autograd.grad(loss, coarse)[0], torch.autograd.grad(expected, coarse)[0]
    )


@settings(max_examples=25, deadline=None)
@given(
    sides=st.tuples(*[st.integers(1, 6)] * 2),
    size=st.tuples(*[st.integers(1, 40)] * 2),
    classes=st.integers(1, 9),
    kind=st.sampled_from(["aligned", "half_pixel", "deconvolution"]),
)
def test_any_size(sides, size, classes, kind):
    coarse = torch.randn(1, classes, *sides, dtype=torch.float64)
    score_map = ScoreMap(coarse, taps(kind, sides[0], size[0]), taps(kind, sides[1], size[1]))
    plain = plain_logits(kind, coarse, size)
    torch.testing.assert_close(score_map.logits(), plain)
    chosen = plain.gather(1, score_map.labels()[:, None].long())
    torch.testing.assert_close(chosen[:, 0], plain.amax(1))


def test_the_gradient_is_right_to_second_order():
    coarse = torch.randn(1, 3, 2, 3, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(0, 3, (1, 5, 7))

    def loss(scores: torch.Tensor) -> torch.Tensor:
        return ScoreMap(scores, Taps.aligned(2, 5), Taps.half_pixel(3, 7)).cross_entropy(labels)

    assert torch.autograd.gradcheck(loss, (coarse,))
    assert torch.autograd.gradgradcheck(loss, (coarse,))


def test_nothing_valid_is_a_loss_of_zero_with_zero_gradient():
    coarse = torch.randn(1, 3, 2, 2, requires_grad=True)
    score_map = ScoreMap(coarse, Taps.aligned(2, 4), Taps.aligned(2, 4))
    loss = score_map.cross_entropy(torch.full((1, 4, 4), 255))
    loss.backward()
    assert loss.item() == 0
    assert (coarse.grad == 0).all()


def test_the_loss_is_float32_under_autocast():
    coarse = (100 * torch.randn(1, 3, 4, 4)).bfloat16().requires_grad_()
    score_map = ScoreMap(coarse, Taps.aligned(4, 16), Taps.aligned(4, 16))
    labels = torch.randint(0, 3, (1, 16, 16))
    with torch.autocast("cpu", torch.bfloat16):
        loss = score_map.cross_entropy(labels)
    expected = ScoreMap(coarse.float(), score_map.rows, score_map.cols).cross_entropy(labels)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected)


def test_ties_go_to_the_lower_class():
    score_map = ScoreMap(torch.zeros(1, 4, 2, 2), Taps.aligned(2, 5), Taps.aligned(2, 5))
    assert (score_map.labels() == 0).all()
    assert score_map.labels().dtype == torch.uint8


def test_errors():
    score_map = ScoreMap(torch.zeros(1, 4, 2, 2), Taps.aligned(2, 5), Taps.aligned(2, 5))
    with pytest.raises(LookwiderError, match=r"labels of shape \(1, 4, 4\), expected \(1, 5, 5\)"):
        score_map.cross_entropy(torch.zeros(1, 4, 4, dtype=torch.long))
    with pytest.raises(LookwiderError, match="got reduction 'max', expected"):
        score_map.cross_entropy(torch.zeros(1, 5, 5, dtype=torch.long), reduction="max")
    damaged = ScoreMap(torch.full((1, 4, 2, 2), torch.nan), score_map.rows, score_map.cols)
    with pytest.raises(LookwiderError, match="scores hold NaN"):
        damaged.labels()


@settings(max_examples=25, deadline=None)
@given(
    share=st.sampled_from([0.01, 0.3, 0.5, 1.0]),
    ignored=st.sampled_from([0.0, 0.5, 1.0]),
    seed=st.integers(0, 99),
    ties=st.booleans(),
)
def test_the_hardest_pixels_are_the_first_of_highest_loss(share, ignored, seed, ties):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(2, 4, 3, 3, generator=generator) * (not ties)
    labels = torch.randint(0, 4, (2, 7, 9), generator=generator)
    labels[torch.rand(labels.shape, generator=generator) < ignored] = 255
    score_map = ScoreMap(coarse, Taps.aligned(3, 7), Taps.aligned(3, 9))
    losses = functional.cross_entropy(
        score_map.logits(), labels, ignore_index=255, reduction="none"
    )
    valid = losses[labels != 255]
    count = max(1, -int(-share * len(valid) // 1))
    expected = valid.sort(descending=True, stable=True).values[:count]
    found = score_map.cross_entropy(labels, hardest=share)
    torch.testing.assert_close(found, expected.mean() if len(valid) else torch.zeros(()))


def test_of_equal_pixels_the_first_are_the_hardest():
    losses = torch.tensor([[[1.0, 2.0, 1.0, 1.0, 3.0]]])
    labels = torch.tensor([[[0, 1, 2, 255, 255]]])
    assert hardest_labels(losses, labels, 0.6, 255).tolist() == [[[0, 1, 255, 255, 255]]]
    for share in (0.0, 1.5):
        with pytest.raises(LookwiderError, match=r"got hardest=.*, expected a share above 0"):
            hardest_labels(losses, labels, share, 255)


@pytest.mark.parametrize("length", [3, 5, 400])
def test_taps_of_another_size_are_refused(length):
    right, wrong = Taps.aligned(4, 9), Taps.aligned(length, 9)
    for rows, cols in ((right, wrong), (wrong, right)):
        with pytest.raises(
            LookwiderError, match=r"got maps of \(4, 4\), expected \(.*make the taps"
        ):
            ScoreMap(torch.zeros(1, 2, 4, 4), rows, cols)


def test_no_class_is_refused():
    with pytest.raises(
        LookwiderError, match=r"got scores of shape \(1, 0, 2, 2\), expected .* one"
    ):
        ScoreMap(torch.zeros(1, 0, 2, 2), Taps.aligned(2, 5), Taps.aligned(2, 5))


FORMS = pytest.mark.parametrize("left_out", [("triton",), ("loss", "triton")])


@FORMS
def test_options_that_do_not_fit_are_refused(left_out):
    score_map = ScoreMap(torch.zeros(1, 4, 2, 2), Taps.aligned(2, 5), Taps.aligned(2, 5))
    labels = torch.zeros(1, 5, 5, dtype=torch.long)
    with without(*left_out):
        for shape in ((3,), (5,), (400,), (4, 1), (1, 4), ()):
            with pytest.raises(LookwiderError, match=r"weights of shape .*, expected \(4,\): one"):
                score_map.cross_entropy(labels, weight=torch.ones(shape))
        for share in (-0.1, 1.5, float("nan")):
            with pytest.raises(LookwiderError, match=r"label_smoothing=.*, expected a share from"):
                score_map.cross_entropy(labels, label_smoothing=share)
        for dtype in (torch.float32, torch.bool, torch.complex64):
            with pytest.raises(LookwiderError, match=r"got labels of torch.*, expected integers"):
                score_map.cross_entropy(labels.to(dtype))


@FORMS
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32])
@pytest.mark.parametrize("hardest", [None, 0.4])
def test_labels_of_any_integer_dtype_are_the_same_labels(left_out, dtype, hardest):
    torch.manual_seed(0)
    coarse = torch.randn(2, 5, 4, 6, requires_grad=True)
    score_map = ScoreMap(coarse, Taps.aligned(4, 13), Taps.aligned(6, 17))
    labels = torch.randint(0, 5, (2, 13, 17))
    for ignored in (-1, 3, 100):
        options = {"weight": torch.rand(5), "ignore_index": ignored, "hardest": hardest}
        with without(*left_out):
            found = score_map.cross_entropy(labels.to(dtype), **options)
            wanted = score_map.cross_entropy(labels, **options)
        assert torch.isfinite(wanted)
        assert torch.equal(found, wanted)
        if hardest is None:
            plain = functional.cross_entropy(
                score_map.logits(), labels, weight=options["weight"], ignore_index=ignored
            )
            torch.testing.assert_close(found, plain)


def test_the_weighted_mean_does_not_depend_on_the_threads():
    torch.manual_seed(0)
    score_map = ScoreMap(torch.randn(2, 21, 30, 40), Taps.aligned(30, 117), Taps.aligned(40, 157))
    labels = torch.randint(0, 21, (2, 117, 157))
    before = torch.get_num_threads()
    try:
        for _ in range(10):
            weight, found = torch.rand(21), set()
            for threads in (1, 2, 3):
                torch.set_num_threads(threads)
                found.add(score_map.cross_entropy(labels, weight=weight).item())
            assert len(found) == 1
    finally:
        torch.set_num_threads(before)
