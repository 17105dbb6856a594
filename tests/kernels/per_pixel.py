"""Upsampled labels and losses pixel by pixel: slow and obvious."""

from __future__ import annotations

import math

import numpy as np
import torch
from hypothesis import strategies as st

from lookwider.layers.taps import Taps

KINDS = ("aligned", "half_pixel", "fading", "holes", "identity")


def make_taps(kind: str, length: int, size: int) -> Taps:
    """Return taps of about ``size`` outputs; a deconvolution may fade, or leave holes."""
    if kind == "aligned":
        return Taps.aligned(length, size)
    if kind == "half_pixel":
        return Taps.half_pixel(length, size)
    if kind == "identity":
        return Taps.identity(length)
    stride = -(-size // length) + 1
    if kind == "fading":
        return Taps.deconvolution(length, 2 * stride, stride, stride // 2, size)
    return Taps.deconvolution(length, stride - 1, stride, 0)


@st.composite
def axes(draw: st.DrawFn) -> Taps:
    """Draw the taps of an axis."""
    kind, length = draw(st.sampled_from(KINDS)), draw(st.integers(1, 6))
    return make_taps(kind, length, draw(st.integers(1, 40)))


def logits(scores: torch.Tensor, rows: Taps, cols: Taps, dtype: type) -> np.ndarray:
    """Return the upsampled scores, each operation rounded to ``dtype``: along the rows first."""
    coarse = scores.detach().double().numpy().astype(dtype)
    shape = (*coarse.shape[:2], len(rows), len(cols))
    result = np.empty(shape, dtype)
    row_taps = [[t[i].item() for t in rows.tensors()] for i in range(len(rows))]
    col_taps = [[t[j].item() for t in cols.tensors()] for j in range(len(cols))]
    for i, (top, bottom, top_weight, bottom_weight) in enumerate(row_taps):
        for j, (left, right, *weights) in enumerate(col_taps):
            one, two = dtype(weights[0]), dtype(weights[1])
            upper = coarse[:, :, top, left] * one + coarse[:, :, top, right] * two
            lower = coarse[:, :, bottom, left] * one + coarse[:, :, bottom, right] * two
            result[:, :, i, j] = upper * dtype(top_weight) + lower * dtype(bottom_weight)
    return result


def labels(scores: torch.Tensor, rows: Taps, cols: Taps) -> torch.Tensor:
    """Return the first class of the highest score of each pixel, in float32."""
    return torch.from_numpy(logits(scores, rows, cols, np.float32).argmax(1))


def losses(
    scores: torch.Tensor,
    rows: Taps,
    cols: Taps,
    truth: torch.Tensor,
    weight: torch.Tensor,
    ignore_index: int,
    smoothing: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels' losses and the gradient of their sum in the scores, in float64."""
    full = logits(scores, rows, cols, np.float64)
    result = np.zeros(truth.shape)
    slope = np.zeros_like(full)
    classes = full.shape[1]
    for n, i, j in np.ndindex(*truth.shape):
        label = int(truth[n, i, j])
        if label == ignore_index:
            continue
        line = full[n, :, i, j]
        logs = line - line.max() - math.log(np.exp(line - line.max()).sum())
        target = smoothing / classes * weight.double().numpy()
        target[label] += (1 - smoothing) * float(weight[label])
        result[n, i, j] = -(target * logs).sum()
        slope[n, :, i, j] = target.sum() * np.exp(logs) - target
    back = np.einsum("nkij,ih,jw->nkhw", slope, rows.matrix().numpy(), cols.matrix().numpy())
    return result, back
