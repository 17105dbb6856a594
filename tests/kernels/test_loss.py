"""The loss without upsampled scores, against single pixels in float64 and the plain form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.kernels import per_pixel
from torch.nn import functional

from lookwider.errors import LookwiderError
from lookwider.kernels.compiled_loss import exponentials
from lookwider.kernels.loss import upsampled_cross_entropy, upsampled_losses
from lookwider.kernels.strips import strip_cross_entropy, strip_losses
from lookwider.kernels.switches import without
from lookwider.layers.taps import Taps, resample
from lookwider.scores import ScoreMap

ROWS, COLS = Taps.deconvolution(4, 8, 4, 2, 15), Taps.aligned(5, 18)


def example(classes: int = 6, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return scores that ask for a gradient, and labels of which a fifth are ignored."""
    generator = torch.Generator().manual_seed(seed)
    scores = 4 * torch.randn(2, classes, 4, 5, generator=generator)
    labels = torch.randint(0, classes, (2, 15, 18), generator=generator)
    labels[torch.rand(labels.shape, generator=generator) < 0.2] = 255
    return scores.requires_grad_(), labels


@settings(max_examples=40, deadline=None)
@given(
    rows=per_pixel.axes(),
    cols=per_pixel.axes(),
    classes=st.sampled_from([1, 2, 3, 8, 21, 40]),
    scale=st.sampled_from([0.0, 1.0, 30.0, 1000.0]),
    smoothing=st.sampled_from([0.0, 0.1, 1.0]),
    weighted=st.booleans(),
    ignored=st.sampled_from([255, 0, -100]),
    seed=st.integers(0, 99),
)
def test_loss_and_gradient_are_those_of_each_pixel(
    rows, cols, classes, scale, smoothing, weighted, ignored, seed
):
    generator = torch.Generator().manual_seed(seed)
    scores = scale * torch.randn(1, classes, rows.length, cols.length, generator=generator)
    scores.requires_grad_()
    labels = torch.randint(0, classes, (1, len(rows), len(cols)), generator=generator)
    labels[torch.rand(labels.shape, generator=generator) < 0.2] = ignored
    weight = torch.rand(classes, generator=generator) if weighted else torch.ones(classes)
    options = {"weight": weight, "ignore_index": ignored, "label_smoothing": smoothing}
    loss = upsampled_cross_entropy(scores, rows, cols, labels, **options)
    (gradient,) = torch.autograd.grad(loss, scores)
    each, slope = per_pixel.losses(scores, rows, cols, labels, weight, ignored, smoothing)
    unit = max(1.0, scale)
    losses = upsampled_losses(scores, rows, cols, labels, **options)
    np.testing.assert_allclose(losses.numpy(), each, atol=2e-6 * unit, rtol=1e-6)
    np.testing.assert_allclose(loss.item(), each.sum(), atol=2e-6 * unit, rtol=1e-6)
    room = 1e-6 * unit * max(1.0, np.abs(slope).max())
    np.testing.assert_allclose(gradient.numpy(), slope, atol=room, rtol=1e-5)
    plain = strip_losses(scores, rows, cols, labels, **options)
    torch.testing.assert_close(losses, plain, atol=2e-6 * unit, rtol=1e-6)


@pytest.mark.parametrize("classes", [2, 19, 150])
def test_the_error_against_float64_is_rounding(classes):
    scores, labels = example(classes)
    loss = upsampled_cross_entropy(scores, ROWS, COLS, labels)
    (gradient,) = torch.autograd.grad(loss, scores)
    exact = scores.detach().double().requires_grad_()
    expected = strip_cross_entropy(exact, ROWS, COLS, labels)
    (slope,) = torch.autograd.grad(expected, exact)
    assert abs(loss.item() / expected.item() - 1) < 2e-7
    assert (gradient - slope).abs().max() < 3e-7 * slope.abs().max()


def test_exponentials():
    values = -np.linspace(0, 68, 100_003, dtype=np.float32)
    result, powers = values.copy(), np.empty(values.shape, np.int32)
    exponentials(result, powers, len(result))
    np.testing.assert_allclose(result, np.exp(values.astype(np.float64)), rtol=1.2e-7)
    special = np.array([0, -0.0, -100, -1e30, -np.inf, np.nan], np.float32)
    exponentials(special, powers, len(special))
    np.testing.assert_array_equal(special, [1, 1, 0, 0, 0, np.nan])


def test_any_dtype_gets_its_gradient_and_autocast_changes_nothing():
    scores, labels = example()
    half = scores.detach().bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        loss = ScoreMap(half, ROWS, COLS).cross_entropy(labels, weight=torch.rand(6))
    (gradient,) = torch.autograd.grad(loss, half)
    assert (loss.dtype, gradient.dtype) == (torch.float32, torch.bfloat16)


@pytest.mark.parametrize("path", [(), ("loss",)])
def test_labels_that_are_no_class(path):
    scores, labels = example()
    labels[1, 3, 4] = 6
    score_map = ScoreMap(scores, ROWS, COLS)
    with without(*path, "triton"), pytest.raises(LookwiderError, match=r"got a label 6, expected"):
        score_map.cross_entropy(labels)
    with without(*path, "triton"), pytest.raises(LookwiderError, match=r"0\.\.5 or 255 \(ignored"):
        score_map.cross_entropy(labels, hardest=0.5)


def test_nan_scores_are_a_nan_loss():
    scores, labels = example()
    scores.data[0, 2, 1, 1] = torch.nan
    score_map = ScoreMap(scores, ROWS, COLS)
    assert score_map.cross_entropy(labels).isnan()
    assert score_map.cross_entropy(labels, hardest=0.3).isnan()


def test_higher_derivatives_are_those_of_the_plain_form():
    found = []
    for loss_of in (upsampled_cross_entropy, _of_full_size_logits):
        scores, labels = example()
        (first,) = torch.autograd.grad(
            loss_of(scores, ROWS, COLS, labels, label_smoothing=0.1), scores, create_graph=True
        )
        (second,) = torch.autograd.grad(first.square().sum(), scores, create_graph=True)
        (third,) = torch.autograd.grad(second.square().sum(), scores)
        found.append((first.detach(), second.detach(), third))
    for ours, plain in zip(*found, strict=True):
        assert plain.abs().max() > 0
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-6 * float(plain.abs().max()))


def _of_full_size_logits(scores, rows, cols, labels, **options):
    logits = resample(scores, rows, cols)
    return functional.cross_entropy(logits, labels, reduction="sum", ignore_index=255, **options)


def test_the_bits_do_not_depend_on_the_threads():
    scores, labels = example(21)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            loss = upsampled_cross_entropy(scores, ROWS, COLS, labels)
            results.append((loss, *torch.autograd.grad(loss, scores)))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert torch.equal(results[0][0], other[0])
        assert torch.equal(results[0][1], other[1])


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_it_is_one_operator_of_a_compiled_step(backend):
    scores, labels = example()

    def step(maps: torch.Tensor) -> torch.Tensor:
        return upsampled_cross_entropy(maps * 2, ROWS, COLS, labels, weight=torch.ones(6))

    compiled = torch.compile(step, backend=backend, fullgraph=True)
    (found,) = torch.autograd.grad(compiled(scores), scores)
    (expected,) = torch.autograd.grad(step(scores), scores)
    torch.testing.assert_close(found, expected)


def test_the_operators_are_registered_as_they_behave():
    scores, labels = example()
    taps = [*ROWS.tensors(), *COLS.tensors()]
    operators = torch.ops.lookwider
    arguments = (scores.detach(), taps, labels, torch.ones(6), 255, 0.1)
    torch.library.opcheck(operators.upsampled_cross_entropy.default, (*arguments, True))
    torch.library.opcheck(operators.upsampled_losses.default, arguments)
