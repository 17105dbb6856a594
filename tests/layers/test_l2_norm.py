"""L2 normalisation against the exact vectors, in value and true gradient."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck

from lookwider.layers.l2_norm import L2Norm


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
