"""The two transforms of Winograd's F(4 x 4, 3 x 3), compiled; see `lookwider.kernels.winograd`.

Both work on blocks of channels that stay in the first cache. Buffers are flat, with offsets that
are known when it is compiled, for only then are the loops over channels made of vectors.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lookwider.kernels.compiling import compiled

Array = npt.NDArray[np.float32]

BLOCK = 64
"""Channels that are transformed together."""

NEAR, FAR = 0.625, 1.5
"""The polynomials are evaluated at 0, these two with both signs, and infinity: with 1 and 2, the
textbook's, rounding errors are four times as large; the squares of these are exact too."""

_A, _B = np.float32(NEAR), np.float32(FAR)
_A2, _B2 = np.float32(NEAR**2), np.float32(FAR**2)
_A3, _B3 = np.float32(NEAR**3), np.float32(FAR**3)
_AB, _SUM = np.float32(NEAR**2 * FAR**2), np.float32(NEAR**2 + FAR**2)
_ZERO = np.float32(0)


@compiled()
def transform_input(
    start: int,
    stop: int,
    maps: Array,
    tiles: Array,
    across: int,
    per_phase: int,
    dilation: int,
    first: int,
) -> None:
    """Transform 6 x 6 cells of each of some tiles.

    Args:
        start: first tile of the buffer.
        stop: after the last.
        maps: (N, H, W, C), padded so that all tiles are whole.
        tiles: (T, 36, C), filled.
        across: tiles side by side.
        per_phase: tiles of one of the ``dilation ** 2`` interleaved maps.
        dilation: of the convolution.
        first: number of the buffer's first tile.
    """
    height, width, channels = maps.shape[1:]
    source, target = maps.reshape(-1), tiles.reshape(-1)
    d, e = np.zeros(36 * BLOCK, np.float32), np.zeros(36 * BLOCK, np.float32)
    for tile in range(start, stop):
        phase, place = divmod(tile + first, per_phase)
        image, phase = divmod(phase, dilation * dilation)
        top = phase // dilation + 4 * dilation * (place // across)
        left = phase % dilation + 4 * dilation * (place % across)
        for begin in range(0, channels, BLOCK):
            count = min(BLOCK, channels - begin)
            for i in range(6):
                row = (image * height + top + dilation * i) * width + left
                for j in range(6):
                    at = (row + dilation * j) * channels + begin
                    cell, into = source[at : at + count], d[(i * 6 + j) * BLOCK :]
                    for c in range(count):
                        into[c] = cell[c]
            for c in range(6 * BLOCK):
                d0, d1, d2 = d[c], d[c + 6 * BLOCK], d[c + 12 * BLOCK]
                d3, d4, d5 = d[c + 18 * BLOCK], d[c + 24 * BLOCK], d[c + 30 * BLOCK]
                even, odd = d4 - _B2 * d2, _A * (d3 - _B2 * d1)
                e[c] = _AB * d0 - _SUM * d2 + d4
                e[c + 6 * BLOCK] = even + odd
                e[c + 12 * BLOCK] = even - odd
                even, odd = d4 - _A2 * d2, _B * (d3 - _A2 * d1)
                e[c + 18 * BLOCK] = even + odd
                e[c + 24 * BLOCK] = even - odd
                e[c + 30 * BLOCK] = _AB * d1 - _SUM * d3 + d5
            for i in range(6):
                for c in range(BLOCK):
                    o = i * 6 * BLOCK + c
                    d0, d1, d2 = e[o], e[o + BLOCK], e[o + 2 * BLOCK]
                    d3, d4, d5 = e[o + 3 * BLOCK], e[o + 4 * BLOCK], e[o + 5 * BLOCK]
                    even, odd = d4 - _B2 * d2, _A * (d3 - _B2 * d1)
                    d[o] = _AB * d0 - _SUM * d2 + d4
                    d[o + BLOCK] = even + odd
                    d[o + 2 * BLOCK] = even - odd
                    even, odd = d4 - _A2 * d2, _B * (d3 - _A2 * d1)
                    d[o + 3 * BLOCK] = even + odd
                    d[o + 4 * BLOCK] = even - odd
                    d[o + 5 * BLOCK] = _AB * d1 - _SUM * d3 + d5
            for i in range(36):
                at = (tile * 36 + i) * channels + begin
                out, cells = target[at : at + count], d[i * BLOCK :]
                for c in range(count):
                    out[c] = cells[c]


@compiled()
def transform_output(
    start: int,
    stop: int,
    tiles: Array,
    maps: Array,
    bias: Array,
    relu: bool,
    across: int,
    per_phase: int,
    dilation: int,
    first: int,
) -> None:
    """Turn products of tiles into 4 x 4 cells each, with bias and ReLU.

    Args:
        start: first tile of the buffer.
        stop: after the last.
        tiles: (T, 36, O).
        maps: (N, H, W, O), filled; what of a tile lies outside is left out.
        bias: (O,).
        relu: whether negative values become zero.
        across: tiles side by side.
        per_phase: tiles of one of the ``dilation ** 2`` interleaved maps.
        dilation: of the convolution.
        first: number of the buffer's first tile.
    """
    height, width, channels = maps.shape[1:]
    source, target = tiles.reshape(-1), maps.reshape(-1)
    d, e = np.zeros(36 * BLOCK, np.float32), np.zeros(24 * BLOCK, np.float32)
    f = np.zeros(16 * BLOCK, np.float32)
    for tile in range(start, stop):
        phase, place = divmod(tile + first, per_phase)
        image, phase = divmod(phase, dilation * dilation)
        top = phase // dilation + 4 * dilation * (place // across)
        left = phase % dilation + 4 * dilation * (place % across)
        for begin in range(0, channels, BLOCK):
            count = min(BLOCK, channels - begin)
            for i in range(36):
                at = (tile * 36 + i) * channels + begin
                cells, into = source[at : at + count], d[i * BLOCK :]
                for c in range(count):
                    into[c] = cells[c]
            for c in range(6 * BLOCK):
                d1, d2 = d[c + 6 * BLOCK], d[c + 12 * BLOCK]
                d3, d4 = d[c + 18 * BLOCK], d[c + 24 * BLOCK]
                p, q, r, s = d1 + d2, d1 - d2, d3 + d4, d3 - d4
                e[c] = d[c] + p + r
                e[c + 6 * BLOCK] = _A * q + _B * s
                e[c + 12 * BLOCK] = _A2 * p + _B2 * r
                e[c + 18 * BLOCK] = _A3 * q + _B3 * s + d[c + 30 * BLOCK]
            for i in range(4):
                for c in range(BLOCK):
                    o, u = i * 6 * BLOCK + c, i * 4 * BLOCK + c
                    d1, d2 = e[o + BLOCK], e[o + 2 * BLOCK]
                    d3, d4 = e[o + 3 * BLOCK], e[o + 4 * BLOCK]
                    p, q, r, s = d1 + d2, d1 - d2, d3 + d4, d3 - d4
                    f[u] = e[o] + p + r
                    f[u + BLOCK] = _A * q + _B * s
                    f[u + 2 * BLOCK] = _A2 * p + _B2 * r
                    f[u + 3 * BLOCK] = _A3 * q + _B3 * s + e[o + 5 * BLOCK]
            shift = bias[begin : begin + count]
            for i in range(4):
                row = top + dilation * i
                for j in range(4):
                    col = left + dilation * j
                    if row >= height or col >= width:
                        continue
                    at = ((image * height + row) * width + col) * channels + begin
                    out, cells = target[at : at + count], f[(i * 4 + j) * BLOCK :]
                    if relu:
                        for c in range(count):
                            value = cells[c] + shift[c]
                            out[c] = _ZERO if value < _ZERO else value  # a NaN stays one
                    else:
                        for c in range(count):
                            out[c] = cells[c] + shift[c]
