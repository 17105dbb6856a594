"""Coarse to fine finds what every window finds."""

import numpy as np
import pytest
import torch
from torch import nn

from lookwider.probes.fields import empirical_field
from lookwider.probes.fields.windows import Lattice, search
from lookwider.probes.network import Network


def gaussian(deviation: float) -> Network:
    places = torch.arange(21.0) - 10
    weights = torch.exp(-(places**2) / 2 / deviation**2)
    layer = nn.Conv2d(3, 1, 21, padding=10, bias=False)
    with torch.no_grad():
        layer.weight.copy_((weights[:, None] * weights).expand(1, 3, -1, -1))
    return Network(layer)


def test_a_gaussian_has_nearly_the_region_of_every_window():
    areas = []
    for seed in range(6):
        image = np.random.default_rng(seed).integers(0, 256, (64, 64, 3), np.uint8)
        refined, every = (
            empirical_field(
                gaussian(5), image, (30, 33), window=12, stride=3, draws=8, seed=seed,
                refine=refine, batch_size=32,
            )
            for refine in (True, False)
        )  # fmt: skip
        assert refined.largest == pytest.approx(every.largest, rel=1e-6)
        assert refined.windows is not None
        assert every.windows is not None
        assert len(refined.windows.corners) < len(every.windows.corners) / 2
        areas.append((refined.area, every.area))
    assert sum(a == b for a, b in areas) >= 5
    assert all(b <= a <= 1.13 * b for a, b in areas)


def test_a_peak_between_places_that_all_lie_above_the_limit_is_found():
    lattice = Lattice.over((40, 40), 12, 3, refine=True)

    def measure(corners):
        return 10 + np.exp(-((corners - (15, 9)) ** 2).sum(1) / 20)

    values = search(lattice, measure, 0.1)
    assert np.nanmax(values) == 11
