"""Upsamplings and scores for the tests of the GPU's kernels."""

from __future__ import annotations

import torch
from hypothesis import strategies as st

from lookwider.layers.taps import Taps


@st.composite
def axes(draw: st.DrawFn, longest: int, largest: int) -> Taps:
    """Draw the taps of one axis: every kind, larger and smaller than its places."""
    length = draw(st.integers(1, longest))
    size = draw(st.integers(1, largest))
    kind = draw(st.sampled_from(["aligned", "half_pixel", "centred", "deconvolution", "identity"]))
    if kind == "aligned":
        return Taps.aligned(length, size)
    if kind == "half_pixel":
        return Taps.half_pixel(length, size)
    if kind == "centred":
        return Taps.centred(length, size, draw(st.integers(1, 8)), draw(st.integers(-3, 9)))
    if kind == "identity":
        return Taps.identity(length)
    stride = -(-size // length) + draw(st.integers(1, 2))
    kernel = draw(st.sampled_from([stride, 2 * stride - stride % 2, 2 * stride]))
    full = (length - 1) * stride + kernel
    size = min(size, full)
    return Taps.deconvolution(length, kernel, stride, (full - size) // 2, size)


def random_scores(
    seed: int, batch: int, num_classes: int, rows: Taps, cols: Taps, scale: float = 3.0
) -> torch.Tensor:
    """Return scores (N, K, h, w) of a normal distribution."""
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, num_classes, rows.length, cols.length)
    return scale * torch.randn(shape, generator=generator)


def random_labels(seed: int, batch: int, num_classes: int, rows: Taps, cols: Taps) -> torch.Tensor:
    """Return labels (N, H, W), a quarter of them 255."""
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, len(rows), len(cols))
    labels = torch.randint(0, num_classes, shape, generator=generator)
    labels[torch.rand(shape, generator=generator) < 0.25] = 255
    return labels
