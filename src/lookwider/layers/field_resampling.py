"""What cells see after maps were resized, padded or shuffled into pixels, along one axis."""

from __future__ import annotations

from typing import Any, Literal, cast

import numpy as np

from lookwider.layers.field_axes import Axis, Cells, Field
from lookwider.layers.taps import Taps

_ALMOST = 1e-6
"""Of a cell: nearer than this, an interpolated place takes one cell only."""

_REACH = {"nearest": 0, "nearest-exact": 0, "bilinear": 1, "bicubic": 3}
"""Cells beyond the first that interpolation joins."""


def interpolated(
    axis: Axis,
    length: int,
    factor: float | None,
    mode: str,
    align_corners: bool | None,
    antialias: bool | None,
) -> Axis:
    """Return the axis after ``torch.nn.functional.interpolate`` to a length.

    Args:
        axis: what the cells see.
        length: of the result.
        factor: how many times longer the result is, where the caller gave that and no size.
        mode: of the interpolation.
        align_corners: as the caller gave it.
        antialias: whether shrinking joins all cells in between.
    """
    cells = len(axis)
    if mode == "area":
        return axis.averaged(length)
    if mode not in _REACH:
        return axis.everything(length)
    if align_corners:
        step, start = (cells - 1) / (length - 1) if length > 1 else 0.0, 0.0
    else:
        step = 1 / factor if factor else cells / length
        start = step / 2 - 0.5
    # one cell has no next: its stride is kept
    field = axis.field.taken(start, step or 1.0, _REACH[mode])
    places = start + np.arange(length) * step
    if antialias and step > 1:
        return axis.gathered(_shrunk(places, step, cells, mode), field)
    return axis.gathered(_neighbours(places, cells, mode, step), field)


def _neighbours(places: Any, cells: int, mode: str, step: float) -> Cells:
    """Return the cells that are joined at each place, clamped to those that exist."""
    if mode.startswith("nearest"):
        shift = 0.5 if mode == "nearest-exact" else 0.0
        table = np.floor((np.arange(len(places)) + shift) * step + _ALMOST)[:, None]
    elif mode == "bilinear":
        places = places.clip(min=0)
        table = np.stack([np.floor(places + _ALMOST), np.ceil(places - _ALMOST)], axis=1)
    else:
        low = np.floor(places + _ALMOST)
        between = np.abs(places - low) > _ALMOST
        table = np.stack([low + np.where(between, i, 0) for i in (-1, 0, 1, 2)], axis=1)
    return cast(Cells, table.clip(0, cells - 1).astype(np.int64))


def _shrunk(places: Any, step: float, cells: int, mode: str) -> Cells:
    """Return the cells under a triangle or cubic that is as wide as the step."""
    reach = step * (2 if mode == "bicubic" else 1)
    low = (places - reach + 1 - _ALMOST).astype(np.int64)
    table = low[:, None] + np.arange(int(2 * reach) + 2)
    inside = np.abs(table - places[:, None]) < reach - _ALMOST
    return cast(Cells, np.where(inside & (table >= 0) & (table < cells), table, -1))


def resampled(axis: Axis, taps: Taps) -> Axis:
    """Return the axis after taps; a tap of weight 0 sees nothing."""
    low, high = taps.low.cpu().numpy(), taps.high.cpu().numpy()
    low_weight, high_weight = taps.low_weight.cpu().numpy(), taps.high_weight.cpu().numpy()
    table = np.stack([np.where(low_weight > 0, low, -1), np.where(high_weight > 0, high, -1)], 1)
    total = low_weight + high_weight
    places = (low * low_weight + high * high_weight) / np.where(total > 0, total, 1)
    # Places before the first cell and after the last take these; the law holds between them.
    inner = np.flatnonzero((low_weight > 0) & (high_weight > 0) & (low < high))
    if len(inner) < 2:
        field = axis.field.taken(float(places[0]), 1)
    else:
        step = float(places[inner[-1]] - places[inner[0]]) / float(inner[-1] - inner[0])
        field = axis.field.taken(float(places[inner[0]] - inner[0] * step), step, 1)
    return axis.gathered(table, field)


def padded(axis: Axis, before: int, after: int, mode: str) -> Axis:
    """Return the axis after ``torch.nn.functional.pad``, which may also cut cells off."""
    cells = len(axis)
    table = np.arange(-before, cells + after)
    if mode != "constant" and max(before, after) > 0:
        how = {"replicate": "edge", "reflect": "reflect", "circular": "wrap"}[mode]
        ends = (max(before, 0), max(after, 0))
        wide = np.pad(np.arange(cells), ends, mode=cast(Literal["edge", "reflect", "wrap"], how))
        table = wide[max(-before, 0) : len(wide) - max(-after, 0)]
    field = axis.field.taken(-before, 1)
    return axis.gathered(table[:, None].astype(np.int64), field)


def pixel_shuffled(axis: Axis, factor: int) -> Axis:
    """Return the axis after channels became pixels: each cell gives ``factor`` of them."""
    table = np.arange(len(axis) * factor)[:, None] // factor
    field: Field = axis.field.taken((1 / factor - 1) / 2, 1 / factor)
    return axis.gathered(table, field)
