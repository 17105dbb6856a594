"""Labels of upsampled scores without the upsampled scores, on the CPU.

Interpolation takes a weighted sum of a cell's four corners, with weights >= 0 that need not sum
to 1 (a deconvolution fades to zero at the border). Two facts leave most classes out, exactly, also
as float32 rounds:

*Monotone.* Products with a weight >= 0 and sums are monotone, rounded or not. If class c is at
most class r at all four corners, it is at most r at every pixel of the cell. If r is also the
lower id, c is never the label: where scores are equal the lower id wins.

*Strict.* Let r lead c by more than 13u (abs(r) + abs(c)) at each corner, with the unit roundoff
u = 2**-24. The two sums of products round by at most 4.1u sum(w (abs(r) + abs(c))) together, less
than the interpolated lead. So c is below r at each pixel that any weight above 0 reaches, and is
left out whichever its id. Where no weight reaches, all scores are 0 and so is the label.

A cell whose corners agree on r, and where r leads all lower ids at each, is r throughout. In the
other cells, the classes that a corner's winner leads at all four corners are left out, and the few
that remain are interpolated, in PyTorch's order of operations. So labels are those of the plain
form bit for bit, ties included.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lookwider.errors import LookwiderError
from lookwider.kernels.threads import in_row_blocks
from lookwider.layers.taps import Taps

INFINITY = 1e30
"""An infinite score counts as this much: 0 times infinity would be NaN at a cell's edge."""


LEAST_TOTAL = 1e-6
"""Least sum of an output's weights, where it is not 0."""


def upsampled_labels(scores: Tensor, rows: Taps, cols: Taps, dtype: torch.dtype) -> Tensor:
    """Return the class of the highest upsampled score of each pixel; the lowest id where equal.

    Args:
        scores: any floating dtype below float64; channels-last is what is read without a copy.
        rows: taps from h to H, `provable`.
        cols: taps from w to W.
        dtype: uint8 or int64.

    Shape:
        (N, K, h, w) -> (N, H, W) of ``dtype``.

    Raises:
        LookwiderError: a score is NaN.
    """
    result: Tensor = _labels(scores, list(rows.tensors()), list(cols.tensors()), dtype)
    return result


def provable(*axes: Taps) -> bool:
    """Whether the weights are as the proof wants them: >= 0, and 0 or well above 0 in sum."""
    for taps in axes:
        total = taps.low_weight + taps.high_weight
        least = torch.minimum(taps.low_weight, taps.high_weight)
        if bool(((least < 0) | ((total > 0) & (total < LEAST_TOTAL))).any()):
            return False
    return True


def finite_scores(scores: Tensor) -> Tensor:
    """Return the scores with +-1e30 for the infinite ones.

    Raises:
        LookwiderError: a score is NaN.
    """
    if torch.isnan(scores).any():
        raise LookwiderError("the network's scores hold NaN; the weights or the image are damaged")
    return scores.nan_to_num(posinf=INFINITY, neginf=-INFINITY)


@torch.library.custom_op("lookwider::upsampled_labels", mutates_args=(), device_types="cpu")
def _labels(scores: Tensor, rows: list[Tensor], cols: list[Tensor], dtype: torch.dtype) -> Tensor:
    from lookwider.kernels.compiled_labels import LARGEST_CELL, find_winners, label_cells

    result = torch.empty((scores.shape[0], len(rows[0]), len(cols[0])), dtype=dtype)
    if result.numel() == 0:
        return result
    while True:
        maps = scores.permute(0, 2, 3, 1).to(torch.float32).contiguous().numpy()
        lines = maps.reshape(-1, maps.shape[-1])
        winners = np.empty(len(lines), dtype=np.int64)
        finite = np.empty(len(lines), dtype=np.int64)
        in_row_blocks(find_winners, len(lines), lines, winners, finite)
        if finite.all():
            break
        scores = finite_scores(scores.to(torch.float32))
    row_cells, col_cells = _cells(rows, LARGEST_CELL), _cells(cols, LARGEST_CELL)
    row_weights, col_weights = _weights(rows), _weights(cols)
    in_row_blocks(
        label_cells,
        len(maps) * len(row_cells),
        maps,
        winners.reshape(maps.shape[:3]),
        row_cells,
        col_cells,
        row_weights,
        col_weights,
        result.numpy(),
    )
    # places that nothing reaches, between the filters of a deconvolution
    for axis, (low, high) in ((1, row_weights), (2, col_weights)):
        empty = np.flatnonzero(low + high == 0)
        if len(empty):
            result.index_fill_(axis, torch.from_numpy(empty), 0)
    return result


@_labels.register_fake
def _(scores: Tensor, rows: list[Tensor], cols: list[Tensor], dtype: torch.dtype) -> Tensor:
    return scores.new_empty((scores.shape[0], len(rows[0]), len(cols[0])), dtype=dtype)


def _cells(taps: list[Tensor], largest: int) -> NDArray[np.int64]:
    """Return the runs of outputs between the same two inputs: (first, end, low, high) each."""
    low, high = taps[0].numpy(), taps[1].numpy()
    place = np.arange(len(low))
    begins = np.ones(len(low), dtype=bool)
    begins[1:] = (np.diff(low) != 0) | (np.diff(high) != 0)
    # longer runs are cut
    first = np.maximum.accumulate(np.where(begins, place, 0))
    starts = np.flatnonzero((place - first) % largest == 0)
    ends = np.append(starts[1:], len(low))
    return np.stack((starts, ends, low[starts], high[starts]), axis=1)


def _weights(taps: list[Tensor]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return taps[2].to(torch.float32).numpy(), taps[3].to(torch.float32).numpy()
