"""Occlusion by noise the plain way: one window at a time, all of them, over the whole image."""

from __future__ import annotations

import numpy as np
import torch

from lookwider.probes.fields.empirical import noise_like
from lookwider.probes.network import Network


def plain_occlusion(
    network: Network,
    image: np.ndarray,
    cell: tuple[int, int],
    layer: str,
    *,
    window: int,
    stride: int,
    draws: int,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the discrepancy of each window, by its corner, and of each pixel."""
    pixels = network.image(image)
    height, width = pixels.shape[-2:]
    rows = sorted({*range(0, height - window + 1, stride), height - window})
    cols = sorted({*range(0, width - window + 1, stride), width - window})
    values = np.zeros((len(rows), len(cols)))
    least = np.full((height, width), np.inf)
    noises = [noise_like(pixels, seed, draw) for draw in range(draws)]
    with torch.no_grad():
        before = network.activations(pixels, [layer])[layer][0, :, cell[0], cell[1]]
        for i, row in enumerate(rows):
            for j, col in enumerate(cols):
                place = (slice(row, row + window), slice(col, col + window))
                for noise in noises:
                    covered = pixels.clone()
                    covered[:, :, *place] = noise[:, :, *place]
                    after = network.activations(covered, [layer])[layer][0, :, cell[0], cell[1]]
                    values[i, j] += float((after - before).norm()) / draws
                least[place] = np.minimum(least[place], values[i, j])
    return values, least
