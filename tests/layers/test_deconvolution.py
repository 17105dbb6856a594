"""Deconvolutions start as bilinear interpolation, fixed or learned."""

from __future__ import annotations

import pytest
import torch

from lookwider.layers.deconvolution import LearnedDeconvolution, bilinear_deconvolution


@pytest.mark.parametrize(("kernel", "stride"), [(4, 2), (16, 8), (63, 32), (3, 2)])
@pytest.mark.parametrize("grouped", [False, True])
def test_a_learned_deconvolution_starts_as_the_fixed_one(kernel, stride, grouped):
    maps = torch.randn(2, 5, 4, 3)
    learned = LearnedDeconvolution(5, kernel, stride, grouped=grouped, bias=True)
    expected = bilinear_deconvolution(maps, kernel, stride)
    torch.testing.assert_close(learned(maps), expected, rtol=1e-5, atol=1e-5)
    assert learned.weight.requires_grad


def test_a_full_deconvolution_can_learn_to_mix_classes():
    learned = LearnedDeconvolution(3, 4, 2)
    assert learned.weight.shape == (3, 3, 4, 4)
    learned(torch.randn(1, 3, 4, 4)).square().sum().backward()
    assert (learned.weight.grad != 0).all()
