"""The kernels' cross entropy against upsampling everything, in float32 and in float64."""

from __future__ import annotations

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.kernels.gpu.cases import axes, random_labels, random_scores
from torch.nn import functional

from lookwider.kernels.gpu import loss
from lookwider.kernels.gpu.loss import upsampled_cross_entropy, upsampled_losses
from lookwider.layers.taps import Taps, resample

SEEDS = st.integers(0, 2**31)
OPTIONS = [{}, {"label_smoothing": 0.1}, {"ignore_index": 1}]


@pytest.fixture(autouse=True, scope="module")
def always_by_kernel():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loss, "LEAST_PIXELS", 0)
        yield


def plain(scores, rows, cols, labels, reduction="sum", ignore_index=255, **options):
    logits = resample(scores.to(torch.promote_types(scores.dtype, torch.float32)), rows, cols)
    return functional.cross_entropy(
        logits, labels, reduction=reduction, ignore_index=ignore_index, **options
    )


def both(device, scores, rows, cols, labels, **options):
    """Return the losses and the gradients of the kernel, and of the plain form in float64."""
    results = []
    for form, where, dtype in (
        (upsampled_cross_entropy, device, scores.dtype),
        (plain, torch.device("cpu"), torch.float64),
    ):
        inputs = scores.to(where, dtype, copy=True).requires_grad_()
        placed = {k: v.to(where) if torch.is_tensor(v) else v for k, v in options.items()}
        if dtype == torch.float64 and placed.get("weight") is not None:
            placed["weight"] = placed["weight"].double()
        total = form(inputs, rows, cols, labels.to(where), **placed)
        (0.5 * total).backward()
        results += [total.detach().cpu().double(), inputs.grad.cpu().double()]
    return results


def within(actual, expected, share):
    return (actual - expected).abs().max() <= share * (1 + expected.abs().max())


@settings(deadline=None, max_examples=8, phases=[Phase.generate])  # shrinking takes minutes
@given(
    rows=axes(2, 12),
    cols=axes(3, 12),
    batch=st.integers(1, 2),
    num_classes=st.sampled_from([2, 5, 19]),
    options=st.sampled_from(OPTIONS),
    weighted=st.booleans(),
    seed=SEEDS,
)
def test_value_and_gradient(device, rows, cols, batch, num_classes, options, weighted, seed):
    scores = random_scores(seed, batch, num_classes, rows, cols)
    labels = random_labels(seed, batch, num_classes, rows, cols)
    if "ignore_index" in options:
        labels[labels == 255] = options["ignore_index"]
    weight = torch.linspace(0, 2, num_classes) if weighted else None
    total, gradient, expected, expected_gradient = both(
        device, scores, rows, cols, labels, weight=weight, **options
    )
    assert within(total, expected, 2e-6)
    assert within(gradient, expected_gradient, 2e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(device, dtype):
    rows, cols = Taps.half_pixel(2, 13), Taps.aligned(3, 9)
    scores = random_scores(1, 2, 6, rows, cols).to(dtype)
    labels = random_labels(1, 2, 6, rows, cols)
    total, gradient, expected, expected_gradient = both(device, scores, rows, cols, labels)
    assert within(total, expected, 2e-6)
    assert torch.equal(gradient, expected_gradient.to(dtype).double()) or within(
        gradient, expected_gradient, torch.finfo(dtype).eps
    )


def test_large_scores_do_not_overflow(device):
    rows, cols = Taps.half_pixel(2, 5), Taps.aligned(2, 4)
    scores = random_scores(2, 1, 4, rows, cols, scale=1e4)
    labels = random_labels(2, 1, 4, rows, cols)
    total, gradient, expected, expected_gradient = both(device, scores, rows, cols, labels)
    assert within(total, expected, 1e-6)
    assert within(gradient, expected_gradient, 1e-3)  # float32 resolves 1e4 to 1e-3


@pytest.mark.parametrize("options", OPTIONS)
def test_losses_of_the_pixels(device, options):
    rows, cols = Taps.half_pixel(2, 9), Taps.deconvolution(3, 4, 2)
    scores = random_scores(3, 2, 5, rows, cols)
    labels = random_labels(3, 2, 5, rows, cols)
    labels[labels == 255] = options.get("ignore_index", 255)
    losses = upsampled_losses(scores.to(device), rows, cols, labels.to(device), **options)
    expected = plain(scores, rows, cols, labels, reduction="none", **options)
    assert torch.allclose(losses.cpu(), expected, rtol=1e-6, atol=1e-6)
    assert (losses.cpu()[labels == options.get("ignore_index", 255)] == 0).all()


def test_no_valid_pixel(device):
    rows = cols = Taps.aligned(2, 3)
    scores = random_scores(4, 1, 3, rows, cols).to(device).requires_grad_()
    labels = torch.full((1, 3, 3), 255, device=device)
    total = upsampled_cross_entropy(scores, rows, cols, labels)
    total.backward()
    assert total == 0
    assert (scores.grad == 0).all()


def test_a_label_that_is_no_class_makes_the_loss_nan(device):
    rows = cols = Taps.aligned(2, 3)
    scores = random_scores(5, 1, 3, rows, cols).to(device).requires_grad_()
    for wrong in (3, -1, 2**40):
        labels = torch.zeros(1, 3, 3, dtype=torch.int64, device=device)
        labels[0, 1, 1] = wrong
        total = upsampled_cross_entropy(scores, rows, cols, labels)
        assert total.isnan()
        assert torch.autograd.grad(total, scores)[0].isnan().any()


def test_the_gradient_can_be_differentiated(device):
    rows, cols = Taps.half_pixel(2, 5), Taps.aligned(2, 4)
    scores = random_scores(6, 1, 3, rows, cols)
    labels = random_labels(6, 1, 3, rows, cols)
    second = []
    for form, where in ((upsampled_cross_entropy, device), (plain, torch.device("cpu"))):
        inputs = scores.to(where, copy=True).requires_grad_()
        total = form(inputs, rows, cols, labels.to(where))
        (gradient,) = torch.autograd.grad(total, inputs, create_graph=True)
        second.append(torch.autograd.grad(gradient.square().sum(), inputs)[0].cpu())
    assert torch.allclose(*second, rtol=1e-5, atol=1e-5)


def test_inside_a_compiled_training_step(device):
    rows, cols = Taps.half_pixel(2, 5), Taps.aligned(2, 4)
    scores = random_scores(7, 1, 3, rows, cols).to(device)
    labels = random_labels(7, 1, 3, rows, cols).to(device)

    def step(scores):
        return upsampled_cross_entropy(scores * 2, rows, cols, labels)

    gradients = []
    for form in (step, torch.compile(step, backend="aot_eager", fullgraph=True)):
        inputs = scores.clone().requires_grad_()
        form(inputs).backward()
        gradients.append(inputs.grad)
    assert torch.equal(*gradients)


def test_hardly_upsampled_scores_take_the_plain_form(device, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(loss, "LEAST_PIXELS", 4)
    monkeypatch.setattr(loss, "_cross_entropy", None)
    rows = cols = Taps.identity(3)
    scores = random_scores(8, 1, 3, rows, cols)
    labels = random_labels(8, 1, 3, rows, cols)
    total = upsampled_cross_entropy(scores.to(device), rows, cols, labels.to(device))
    assert torch.allclose(total.cpu(), plain(scores, rows, cols, labels))
