"""The plain networks of the benchmarks compute what lookwider's do: a fair comparison."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from heads import GlobalHead, PyramidHead, farthest, trained
from lookwider.layers.l2_norm import L2Norm
from plain.counterpart import counterparts
from plain.parsenet import L2Normalise
from plain.pspnet import PSPNet

CASES = [("pspnet", (65, 97)), ("fcn8s", (33, 40)), ("parsenet", (49, 70))]


@pytest.mark.parametrize(("name", "size"), CASES)
def test_logits_are_those_of_lookwider(name: str, size: tuple[int, int]) -> None:
    model, plain = counterparts(name, 5)
    torch.manual_seed(1)
    images = torch.randn(2, 3, *size)
    with torch.inference_mode():
        expected, found = plain(images), model(images)
    assert expected.shape == (2, 5, *size)
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()
    assert expected.std() > 1e-3 * expected.abs().max()


def test_training_has_the_auxiliary_loss() -> None:
    plain = PSPNet(4, blocks=(1, 1, 1, 1)).train()
    images, labels = torch.randn(2, 3, 33, 33), torch.randint(4, (2, 33, 33))
    torch.manual_seed(0)
    with_aux = plain.loss(images, labels)
    torch.manual_seed(0)
    without = plain.loss(images, labels, aux_weight=0.0)
    assert with_aux > without
    with_aux.backward()
    scored = plain.aux[4]
    assert isinstance(scored, nn.Conv2d)
    assert scored.weight.grad is not None


@pytest.mark.parametrize("make", [GlobalHead, PyramidHead])
def test_both_forms_of_a_head_agree_in_value_and_gradient(make: type[GlobalHead]) -> None:
    torch.manual_seed(0)
    head = make(16).double()
    maps = torch.randn(2, 16, 9, 8, dtype=torch.float64, requires_grad=True)
    apart = farthest(trained(head, head, maps), trained(head, head.plain, maps))
    assert apart < 1e-8  # PyTorch's normalisation has another eps, of 1e-10 of a squared length


def test_normalisation_is_lookwider_s() -> None:
    maps = torch.randn(2, 8, 3, 4)
    torch.testing.assert_close(L2Normalise(8)(maps), L2Norm(8)(maps))
