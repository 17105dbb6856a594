"""L2 normalisation against the exact vectors, in value and true gradient."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.autograd import gradcheck
from torch.utils.checkpoint import checkpoint

from lookwider.layers.l2_norm import L2Norm, squared_lengths


def test_values_and_true_gradients_of_the_vectors(facts):
    cases = facts("normalize_vectors")["cases"]
    assert len(cases) == 4
    for case in cases:
        norm = L2Norm(
            3,
            across_spatial=case["across_spatial"],
            channel_shared=case["channel_shared"],
            eps=case["eps"],
        ).double()
        norm.scale.data = torch.tensor(case["scale"], dtype=torch.float64)
        x = torch.tensor(case["x"], dtype=torch.float64, requires_grad=True)
        y = norm(x)
        y.backward(torch.tensor(case["grad_y"], dtype=torch.float64))
        for got, name in (
            (y, "y"),
            (x.grad, "grad_x (true: autograd, paper)"),
            (norm.scale.grad, "grad_scale"),
        ):
            expected = torch.tensor(case[name], dtype=torch.float64)
            torch.testing.assert_close(got, expected, rtol=1e-7, atol=1e-7)


def test_gradients_agree_with_finite_differences():
    norm = L2Norm(4, scale=20.0).double()
    x = torch.randn(2, 4, 3, 2, dtype=torch.float64, requires_grad=True)
    assert gradcheck(norm, (x,))


@pytest.mark.parametrize(("shared", "count"), [(True, 1), (False, 5)])
def test_one_scale_or_one_per_channel_learned_or_fixed(shared, count):
    norm = L2Norm(5, scale=20.0, channel_shared=shared, learned=False)
    assert norm.scale.tolist() == [20.0] * count
    assert not norm.scale.requires_grad


def test_a_place_without_features_stays_zero_and_finite():
    x = torch.zeros(1, 3, 2, 2, requires_grad=True)
    L2Norm(3)(x).sum().backward()
    assert torch.isfinite(x.grad).all()


def test_lengths_are_computed_in_float32_for_half_precision():
    x = torch.full((1, 4096, 1, 1), 200.0, dtype=torch.float16)  # the squares do not fit float16
    got = L2Norm(4096)(x)
    assert got.dtype == torch.float16
    torch.testing.assert_close(got.float(), torch.full_like(got.float(), 10 / 64))


SIDES = st.integers(1, 9)


@given(
    st.tuples(SIDES, SIDES), st.booleans(), st.booleans(), st.booleans(), st.sampled_from([1, 2])
)
@settings(max_examples=40, deadline=None)
def test_dividing_scores_is_scoring_divided_features(size, spatial, shared, last, stride):
    torch.manual_seed(0)
    norm = L2Norm(6, scale=3.0, across_spatial=spatial, channel_shared=shared).double()
    norm.scale.data = torch.rand_like(norm.scale.data)
    classifier = nn.Conv2d(6, 4, 1, stride=stride).double()
    features = torch.randn(2, 6, *size, dtype=torch.float64)
    layout = torch.channels_last if last else torch.contiguous_format
    features = features.contiguous(memory_format=layout).requires_grad_()
    inputs = [features, norm.scale, *classifier.parameters()]
    deferred = norm(features, deferred=True)
    forms = classifier(deferred), classifier(norm(features))
    assert deferred._map is None
    torch.testing.assert_close(*forms, rtol=1e-12, atol=1e-12)
    upstream = torch.randn_like(forms[0])
    for got, expected in zip(
        *(torch.autograd.grad(form, inputs, upstream) for form in forms), strict=True
    ):
        torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)
    with torch.no_grad():
        got = classifier(norm(features, deferred=True))
    torch.testing.assert_close(got, forms[1], rtol=1e-12, atol=1e-12)


def test_wider_windows_are_convolved_together_only_where_they_share_a_length():
    features = torch.randn(1, 6, 8, 8)
    convolution = nn.Conv2d(6, 4, 3, padding=1)
    for spatial in (True, False):
        norm = L2Norm(6, across_spatial=spatial)
        deferred = norm(features, deferred=True)
        torch.testing.assert_close(convolution(deferred), convolution(norm(features)))
        assert (deferred._map is None) == spatial


@pytest.mark.parametrize("channels_last", [True, False])
def test_float32_scores_and_gradients_are_equal_up_to_rounding(channels_last):
    torch.manual_seed(0)
    features = torch.randn(2, 256, 20, 20).relu()
    features[..., 3, 3] = 0  # a place without any feature
    layout = torch.channels_last if channels_last else torch.contiguous_format
    features = features.contiguous(memory_format=layout).requires_grad_()
    norm, classifier = L2Norm(256, scale=20.0), nn.Conv2d(256, 21, 1)
    forms = classifier(norm(features, deferred=True)), classifier(norm(features))
    inputs = [features, norm.scale, *classifier.parameters()]
    got, expected = (torch.autograd.grad(form.square().sum(), inputs) for form in forms)
    for one, other, error in zip(
        (forms[0], *got), (forms[1], *expected), (1e-6, *[1e-5] * 4), strict=True
    ):
        most = float(other.detach().abs().max())
        torch.testing.assert_close(one, other, rtol=0, atol=error * most)


def test_bfloat16_scores_err_no_more_than_those_of_normalised_features():
    torch.manual_seed(0)
    features = torch.randn(1, 256, 20, 20).relu().bfloat16()
    norm, classifier = L2Norm(256, scale=20.0), nn.Conv2d(256, 21, 1)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        forms = classifier(norm(features)), classifier(norm(features, deferred=True))
    assert forms[1].dtype == torch.bfloat16
    with torch.no_grad():
        exact = classifier(norm(features.float()))
    plain, fast = (float((form - exact).square().mean()) for form in forms)
    assert fast < 1.25 * plain


def test_half_precision_never_holds_scores_of_features_that_were_not_normalised():
    features = torch.full((1, 64, 2, 2), 6e3, dtype=torch.float16)
    norm, classifier = L2Norm(64, scale=20.0), nn.Conv2d(64, 1, 1, bias=False)
    nn.init.ones_(classifier.weight)
    scores = classifier.half()(norm(features, deferred=True))
    torch.testing.assert_close(scores, torch.full((1, 1, 2, 2), 160.0).half())


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("spatial", [True, False])
def test_convolved_without_gradients_first_it_has_all_gradients_afterwards(mode, spatial):
    torch.manual_seed(0)
    norm, classifier = L2Norm(6, across_spatial=spatial).double(), nn.Conv2d(6, 4, 1).double()
    maps = torch.randn(2, 6, 5, 7, dtype=torch.float64, requires_grad=True)
    inputs = [maps, norm.scale, *classifier.parameters()]
    deferred = norm(maps, deferred=True)
    with mode():
        first = classifier(deferred)
    second, plain = classifier(deferred), classifier(norm(maps))
    torch.testing.assert_close(first.clone(), plain.detach(), rtol=1e-12, atol=1e-12)
    got, expected = (torch.autograd.grad((y**3).sum(), inputs) for y in (second, plain))
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
    assert deferred._map is None


def test_a_classifier_that_is_computed_again_has_the_same_gradients():
    torch.manual_seed(0)
    norm, classifier = L2Norm(6).double(), nn.Conv2d(6, 4, 1).double()
    maps = torch.randn(2, 6, 5, 7, dtype=torch.float64, requires_grad=True)
    found = []
    for deferred in (True, False):
        scores = checkpoint(classifier, norm(maps, deferred=deferred), use_reentrant=False)
        found.append(torch.autograd.grad((scores**3).sum(), [maps, norm.scale]))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("axes", [(1,), (1, 2, 3)])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_squared_lengths_are_sums_of_squares_in_float32(axes, layout):
    maps = torch.randn(2, 700, 40, 11).bfloat16().contiguous(memory_format=layout)
    lengths = squared_lengths(maps, axes)
    assert lengths.dtype == torch.float32
    expected = maps.double().square().sum(axes, keepdim=True)
    torch.testing.assert_close(lengths.double(), expected, rtol=1e-6, atol=0)
