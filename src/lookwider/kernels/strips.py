"""Labels, probabilities and losses of upsampled scores in strips of rows: the plain forms.

Each strip is upsampled when it is needed, so that no full-size logits are stored. Works on every
device, in float64, and to any order of differentiation.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from lookwider.classes import IGNORE_INDEX
from lookwider.layers.taps import Taps, resample

STRIP_BYTES = 16 * 2**20
"""About how much upsampled float32 a strip holds."""


def strip_labels(scores: Tensor, rows: Taps, cols: Taps, dtype: torch.dtype) -> Tensor:
    """Return the class of the highest upsampled score of each pixel; the lowest id where equal.

    Shape:
        (N, K, h, w) -> (N, H, W) of ``dtype``.
    """
    result = scores.new_empty((scores.shape[0], len(rows), len(cols)), dtype=dtype)
    for strip in _strips(scores, rows, cols):
        result[:, strip] = _strip_logits(scores, rows, cols, strip).argmax(1)
    return result


def strip_probabilities(scores: Tensor, rows: Taps, cols: Taps) -> Tensor:
    """Return the softmax over classes of the upsampled scores.

    Shape:
        (N, K, h, w) -> (N, K, H, W) float32.
    """
    shape = (*scores.shape[:2], len(rows), len(cols))
    result = scores.new_empty(shape, dtype=torch.float32)
    for strip in _strips(scores, rows, cols):
        result[:, :, strip] = _strip_logits(scores, rows, cols, strip).softmax(1)
    return result


def strip_cross_entropy(
    scores: Tensor,
    rows: Taps,
    cols: Taps,
    labels: Tensor,
    *,
    weight: Tensor | None = None,
    ignore_index: int = IGNORE_INDEX,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Return the sum of the pixels' cross entropies; strips are computed again in the backward.

    Returns:
        A scalar of at least float32.
    """

    def strip_loss(scores: Tensor, strip: slice) -> Tensor:
        return functional.cross_entropy(
            _strip_logits(scores, rows, cols, strip),
            labels[:, strip],
            weight=weight,
            ignore_index=ignore_index,
            reduction="sum",
            label_smoothing=label_smoothing,
        )

    losses = [
        checkpoint(strip_loss, scores, strip, use_reentrant=False, preserve_rng_state=False)
        for strip in _strips(scores, rows, cols)
    ]
    return torch.stack(losses).sum()


@torch.no_grad()
def strip_losses(
    scores: Tensor,
    rows: Taps,
    cols: Taps,
    labels: Tensor,
    *,
    weight: Tensor | None = None,
    ignore_index: int = IGNORE_INDEX,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Return each pixel's cross entropy, without a gradient; 0 where the label is ignored.

    Shape:
        (N, K, h, w) -> (N, H, W) of at least float32.
    """
    strips = [
        functional.cross_entropy(
            _strip_logits(scores, rows, cols, strip),
            labels[:, strip],
            weight=weight,
            ignore_index=ignore_index,
            reduction="none",
            label_smoothing=label_smoothing,
        )
        for strip in _strips(scores, rows, cols)
    ]
    return torch.cat(strips, 1)


def _strips(scores: Tensor, rows: Taps, cols: Taps) -> Iterator[slice]:
    row_bytes = 4 * scores.shape[0] * scores.shape[1] * len(cols)
    height = max(1, STRIP_BYTES // max(1, row_bytes))
    for start in range(0, len(rows), height):
        yield slice(start, min(start + height, len(rows)))


def _strip_logits(scores: Tensor, rows: Taps, cols: Taps, strip: slice) -> Tensor:
    """Return some rows of the logits in float32 (float64 stays): (N, K, rows, W)."""
    used, strip_rows = rows[strip].narrowed()
    dtype = torch.promote_types(scores.dtype, torch.float32)
    return resample(scores[:, :, used].to(dtype), strip_rows, cols)
