"""The pixels that each cell sees, traced, against what has a gradient: every cell, no exception.

All weights are positive and all poolings averages, so that a pixel has a gradient exactly when it
reaches the cell.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from lookwider.layers.field_axes import Axis
from lookwider.layers.receptive_fields import TracedLayer, trace_fields
from lookwider.layers.region_sums import Place, region_maxima, region_sums
from lookwider.layers.taps import Taps, resample

Span = tuple[int, int] | None


def seen_by_gradient(network: nn.Module, size: tuple[int, int]) -> list[list[Span]]:
    """Return per axis and cell which pixels have a gradient, the plain way: cell by cell."""
    image = torch.rand(1, 1, *size, dtype=torch.float64, requires_grad=True)
    output = network(image).sum(1)[0]
    spans: list[list[Span]] = []
    for axis in (0, 1):
        spans.append([])
        for cells in output.unbind(axis):
            (gradient,) = torch.autograd.grad(cells.sum(), image, retain_graph=True)
            touched = (gradient[0, 0].abs() > 1e-12).any(1 - axis).nonzero()[:, 0].tolist()
            spans[-1].append((touched[0], touched[-1] + 1) if touched else None)
    return spans


def traced(network: nn.Module, size: tuple[int, int]) -> TracedLayer:
    return trace_fields(network, in_channels=1, size=size)[""]


def spans(axis: Axis) -> list[Span]:
    return [axis.span(cell) for cell in range(len(axis))]


def check(network: nn.Module, size: tuple[int, int]) -> TracedLayer:
    layer = traced(network, size)
    rows, cols = seen_by_gradient(network, size)
    assert spans(layer.row_axis) == rows
    assert spans(layer.col_axis) == cols
    return layer


def positive(network: nn.Module) -> nn.Module:
    for weight in network.parameters():
        nn.init.constant_(weight, 0.5)
    return network.double().eval()


class Step(nn.Module):
    """One random layer; branches are joined by adding or by concatenating.

    No cell sees padding only: such a cell of one branch sees nothing, but its column's pixels are
    still counted.
    """

    def __init__(self, kind: str, numbers: tuple[int, ...], parts: list[nn.Module]) -> None:
        super().__init__()
        self.kind, self.numbers = kind, numbers
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Tensor) -> Tensor:
        a, b, c, d = self.numbers
        if self.kind == "conv":
            return functional.conv2d(x, _ones(x, a, b), None, c, (a // 2, b - 1), (1 + d, 1))
        if self.kind == "pool":
            return functional.avg_pool2d(x, (a, b), c, (a // 2, 0), ceil_mode=d > 0)
        if self.kind == "up":
            return functional.conv_transpose2d(x, _ones(x, a + c, b + c), None, c, (d, 0))
        if self.kind == "resize":
            modes = ("nearest", "bilinear", "bilinear", "area", "nearest-exact")
            mode = modes[(a + b + c) % 5]
            corners = {"align_corners": d > 0} if mode.startswith("bi") else {}
            size = (x.shape[-2] * a // 2 + 1, x.shape[-1] + b)
            return functional.interpolate(x, size=size, mode=mode, **corners)
        if self.kind == "slice":
            return x[..., min(a, x.shape[-2] - 1) :: c, : max(1, x.shape[-1] - b)]
        if self.kind == "pad":
            return functional.pad(x, (a, b - 1, c - 1, d), mode="replicate")
        if self.kind == "flip":
            return x.flip(2) if d else torch.roll(x, (a, b), (2, 3))
        ys = [part(x) for part in self.parts]
        height = min(y.shape[-2] for y in ys)
        width = min(y.shape[-1] for y in ys)
        ys = [y[..., :height, :width] for y in ys]
        return torch.cat(ys, 1) if d else sum(ys[1:], ys[0])


def _ones(x: Tensor, height: int, width: int) -> Tensor:
    return torch.ones(x.shape[1], x.shape[1], height, width, dtype=x.dtype, device=x.device)


numbers = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.integers(0, 1))
simple = st.builds(
    Step,
    st.sampled_from(["conv", "pool", "up", "resize", "slice", "pad", "flip"]),
    numbers,
    st.just([]),
)
branch = st.lists(simple, min_size=0, max_size=2).map(lambda steps: nn.Sequential(*steps))
step = simple | st.builds(Step, st.just("join"), numbers, st.lists(branch, min_size=2, max_size=3))


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(step, min_size=1, max_size=4), height=st.integers(11, 19))
def test_random_networks_cell_by_cell(steps, height):
    network = nn.Sequential(*steps)
    try:
        with torch.no_grad():
            output = network(torch.rand(1, 1, height, 16, dtype=torch.float64))
    except RuntimeError:
        return  # the image is too small for these windows
    if 0 in output.shape or output.shape[-1] * output.shape[-2] > 4000:
        return
    check(network, (height, 16))


class Made(nn.Module):
    """A module of one function."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def reduced(x: Tensor) -> Tensor:
    """Average pairs of rows, so that cells and pixels differ."""
    return functional.avg_pool2d(x, (2, 1))


CASES: dict[str, Callable[[Tensor], Tensor]] = {
    "channels reduced": lambda x: x * x.square().sum((1,), keepdim=True),
    "channels reduced, dimension gone": lambda x: x.mean(1)[:, None],
    "rows reduced": lambda x: x + reduced(x).mean(2, keepdim=True),
    "cols reduced by the maximum": lambda x: x + x.cumsum(3).mean((-1,), keepdim=True),
    "everything reduced": lambda x: x + x.mean(),
    "softmax over channels": lambda x: torch.cat([x, 2 * x], 1).softmax(1)[:, :1] * x,
    "running sum": lambda x: x + x.cumsum(-1).flip(-1).cumsum(-1),
    "channels last and back": lambda x: reduced(x).permute(0, 2, 3, 1).movedim(-1, 1),
    "transposed and back": lambda x: reduced(x.transpose(2, 3)).mT,
    "linear on channels last": lambda x: functional.linear(
        reduced(x).permute(0, 2, 3, 1), torch.ones(2, 1).to(x)
    ).permute(0, 3, 1, 2),
    "linear on columns": lambda x: functional.linear(reduced(x), torch.ones(5, x.shape[-1]).to(x)),
    "channels shuffled": lambda x: (
        torch.cat([reduced(x)] * 4, 1).view(1, 2, 2, 6, 14).transpose(1, 2).reshape(1, 4, 6, 14)
    ),
    "tokens and back": lambda x: x.flatten(2).mul(2).view(1, 1, *x.shape[2:]) + x.mean(),
    "narrowed": lambda x: x.narrow(2, 3, 6).narrow(-1, 2, 4),
    "indexed": lambda x: x[0, :, 1:9:3][None, ..., 2:],
    "indexed by channels": lambda x: torch.cat([x, x], 1)[:, [1, 0], 2:],
    "end to end": lambda x: torch.cat([reduced(x), x], dim=2),
    "layer norm over columns": lambda x: x + x.mean(-1, keepdim=True),
    "pixels from channels": lambda x: functional.pixel_shuffle(x.repeat(1, 4, 1, 1), 2),
    "channels from pixels": lambda x: functional.pixel_unshuffle(x[:, :, :10, :12], 2),
    "reflected": lambda x: functional.pad(reduced(x), (2, 1, 3, 1), mode="reflect"),
    "replicated": lambda x: functional.pad(reduced(x), (2, 1, 3, 1), mode="replicate"),
    "wrapped around": lambda x: functional.pad(reduced(x), (2, 1, 3, 1), mode="circular"),
    "cut and padded": lambda x: functional.pad(reduced(x), (-2, 1, 3, -1)),
    "antialiased": lambda x: functional.interpolate(
        x, size=(4, 5), mode="bilinear", antialias=True
    ),
    "cubic": lambda x: functional.interpolate(x, size=(17, 9), mode="bicubic"),
    "by a factor": lambda x: functional.interpolate(x, scale_factor=1.3, mode="bilinear"),
    "regions": lambda x: functional.adaptive_avg_pool2d(x, (3, 5)),
    "sums over regions": lambda x: region_sums(x, [1, 3], Place.whole(x))[1],
    "taps, corners aligned": lambda x: resample(
        reduced(x), Taps.aligned(x.shape[2] // 2, 9), Taps.aligned(x.shape[3], 31)
    ),
    "taps of a deconvolution": lambda x: resample(
        x, Taps.deconvolution(x.shape[2], 4, 2, 1, 20), Taps.centred(x.shape[3], 20, 2.0, 0.5)
    ),
    "added in place": lambda x: reduced(x).add_(x[:, :, 1::2] if x.shape[2] % 2 else x[:, :, ::2]),
    "in a part": lambda x: filled(x),
    "picked channels": lambda x: torch.cat([x, x], 1).index_select(1, torch.tensor([1])),
}


def filled(x: Tensor) -> Tensor:
    """Write into a new tensor; what is where is not followed, so all may see everything."""
    y = torch.zeros_like(x) + x.mean()
    y[:, :, ::2] = x[:, :, ::2] + x.mean()
    return y


@pytest.mark.parametrize("case", CASES)
def test_functions_cell_by_cell(case):
    check(Made(CASES[case]), (12, 14))


OVERSTATED: dict[str, Callable[[Tensor], Tensor]] = {
    "matrix product": lambda x: x @ torch.eye(x.shape[-1]).to(x),
    "unknown reshape": lambda x: x.reshape(1, 1, 14, 12),
    "picked columns": lambda x: x.index_select(3, torch.tensor([1, 2])),
    "columns by a list": lambda x: x[..., [1, 5]],
    "windows by hand": lambda x: functional.unfold(x, 2)[:, :1, None],
    "rolled all over": lambda x: torch.roll(x, 3),
    "group norm": lambda x: functional.group_norm(x, 1),
    "split by rows": lambda x: x.chunk(2, 2)[1],
}
"""What is not followed exactly: every cell is said to see the whole image."""


@pytest.mark.parametrize("case", OVERSTATED)
def test_what_is_not_followed_is_never_understated(case):
    layer = traced(Made(OVERSTATED[case]), (12, 14))
    assert set(spans(layer.row_axis)) == {(0, 12)}
    assert set(spans(layer.col_axis)) == {(0, 14)}
    assert layer.rows.size == layer.cols.size == float("inf")


def test_maxima_of_regions_and_of_a_tile():
    def tile(x: Tensor) -> Tensor:
        place = Place(top=4, left=0, height=24, width=14)
        return region_maxima(x, [2], place)[0]

    layer = traced(Made(tile), (12, 14))
    assert spans(layer.row_axis) == [(0, 8), (8, 12)]
    assert spans(layer.col_axis) == [(0, 7), (7, 14)]


def test_what_has_no_place_in_the_image_is_left_out():
    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.flat, self.line = nn.Flatten(), nn.Linear(16, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.line(self.flat(functional.adaptive_avg_pool2d(x, 4)))

    assert trace_fields(Classifier(), in_channels=1, size=(12, 14)) == {}
