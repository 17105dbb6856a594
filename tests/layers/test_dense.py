"""Shift-and-stitch, the rewriting at stride 1, and the classifier run on every patch agree."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lookwider.backbones.alexnet import alexnet
from lookwider.errors import LookwiderError
from lookwider.layers.dense import at_stride_one, shift_and_stitch, stitched_grid
from lookwider.layers.grids import Grid
from lookwider.layers.receptive_fields import trace_fields


def classifier_on_every_patch(network: nn.Module, image: Tensor, field: int) -> Tensor:
    """Run a network on each patch as large as its receptive field."""
    height, width = (n - field + 1 for n in image.shape[-2:])
    rows = [
        torch.stack(
            [network(image[..., i : i + field, j : j + field])[..., 0, 0] for j in range(width)], -1
        )
        for i in range(height)
    ]
    return torch.stack(rows, -2)


layer = st.tuples(st.sampled_from(["conv", "max"]), st.integers(1, 3), st.integers(1, 2))


def build(plan: list[tuple[str, int, int]]) -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for kind, kernel, stride in plan:
        layers.append(
            nn.Conv2d(2, 2, kernel, stride) if kind == "conv" else nn.MaxPool2d(kernel, stride)
        )
        layers.append(nn.ReLU())
    return nn.Sequential(*layers).double().eval()


@settings(max_examples=30, deadline=None)
@given(
    plan=st.lists(layer, min_size=1, max_size=4),
    extra=st.tuples(st.integers(0, 9), st.integers(0, 9)),
)
def test_all_three_agree(plan, extra):
    network = build(plan)
    traced = trace_fields(network, in_channels=2, size=(128, 128))[""]
    field, stride = int(traced.rows.size), int(traced.rows.stride)
    image = torch.randn(1, 2, field + extra[0], field + extra[1], dtype=torch.float64)
    with torch.no_grad():
        patches = classifier_on_every_patch(network, image, field)
        stitched = shift_and_stitch(network, image, stride)
        rewritten = at_stride_one(network, in_channels=2)(image)
    torch.testing.assert_close(stitched, patches, rtol=0, atol=1e-12)
    torch.testing.assert_close(rewritten, patches, rtol=0, atol=1e-12)


@pytest.mark.parametrize("factor", [1, 2, 4, 8])
def test_a_smaller_factor_gives_every_second_fourth_or_eighth_output(factor):
    network = build([("conv", 3, 2), ("max", 2, 2), ("conv", 3, 2)])
    image = torch.randn(1, 2, 60, 47, dtype=torch.float64)
    with torch.no_grad():
        dense = at_stride_one(network, in_channels=2)(image)
        stitched = shift_and_stitch(network, image, stride=8, factor=factor)
    step = 8 // factor
    torch.testing.assert_close(stitched, dense[..., ::step, ::step], rtol=0, atol=1e-12)
    assert stitched_grid(Grid(8, 9.5), factor) == Grid(step, 9.5)


def test_the_padded_trunk_of_the_release_agrees_inside():
    """With padding inside the network, the two differ at the border alone: there zeros differ."""
    torch.manual_seed(0)
    trunk = alexnet(["conv1"], style="released").eval()
    image = torch.randn(1, 3, 24, 40)
    with torch.no_grad():
        stitched = shift_and_stitch(lambda x: trunk(x)[0], image, stride=4)
        (rewritten,) = at_stride_one(trunk)(image)
    sizes = zip(stitched.shape[2:], rewritten.shape[2:], strict=True)
    height, width = (min(a, b) for a, b in sizes)
    assert (height, width) >= (210, 226)
    inside = (..., slice(0, height - 4), slice(0, width - 4))
    torch.testing.assert_close(stitched[inside], rewritten[inside], rtol=0, atol=1e-5)


def test_a_factor_that_does_not_divide_the_stride():
    with pytest.raises(LookwiderError, match=r"got factor 3, expected a divisor of .* stride 8"):
        shift_and_stitch(nn.Identity(), torch.zeros(1, 1, 8, 8), stride=8, factor=3)


def test_average_pooling_cannot_be_rewritten():
    with pytest.raises(LookwiderError, match=r"AvgPool2d.* use shift_and_stitch instead"):
        at_stride_one(nn.Sequential(nn.AvgPool2d(2)))


def test_branches_cannot_be_rewritten():
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Conv2d(3, 3, 1, stride=2), nn.Conv2d(3, 3, 1, stride=2)

        def forward(self, x: Tensor) -> Tensor:
            return self.right(self.left(x)[..., :4, :4].repeat_interleave(2, -1)) + 0

    network = nn.Sequential(Branches(), nn.Upsample(scale_factor=2))
    with pytest.raises(LookwiderError, match="cannot be rewritten"):
        at_stride_one(network)


def test_uneven_strides_are_refused():
    with pytest.raises(LookwiderError, match="expected the same for rows and columns"):
        at_stride_one(nn.Sequential(nn.Conv2d(3, 3, 3, stride=(1, 2))))
