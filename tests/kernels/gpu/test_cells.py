"""Runs of outputs between two places, against the taps they are made of."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from tests.kernels.gpu.cases import axes

from lookwider.kernels.gpu.cells import cells_of, device_cells
from lookwider.layers.taps import Taps


@settings(deadline=None, max_examples=100)
@given(axes(longest=9, largest=40))
def test_cells_hold_each_output_once_with_its_weights(taps):
    cells = cells_of(taps.tensors(), taps.length)
    dense = torch.zeros(len(taps), taps.length + 1, dtype=torch.float32)
    seen = []
    for place in range(taps.length):
        for output in range(int(cells.starts[place]), int(cells.starts[place + 1])):
            seen.append(output)
            dense[output, place : place + 2] = cells.weights[output]
    assert seen == list(range(len(taps)))
    assert (dense[:, -1] == 0).all()
    assert torch.equal(dense[:, :-1], taps.matrix().float())


def test_copies_are_kept_by_content():
    first = device_cells(Taps.aligned(3, 7).tensors(), 3, torch.device("cpu"))
    again = device_cells(Taps.aligned(3, 7).tensors(), 3, torch.device("cpu"))
    other = device_cells(Taps.half_pixel(3, 7).tensors(), 3, torch.device("cpu"))
    assert again is first
    assert not torch.equal(other.weights, first.weights)
