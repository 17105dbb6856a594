"""Streaming statistics of feature norms against plain NumPy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lookwider.probes.scales import Norms


def plain_norms(features):
    """Return the norm of every place: the obvious way."""
    channels_last = np.moveaxis(features.double().numpy(), 1, -1)
    return np.sqrt((channels_last.reshape(-1, features.shape[1]) ** 2).sum(1))


def maps(seed, count):
    """Return maps of several sizes and magnitudes, with zeros among them."""
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(1, 5, 3 + i, 4, generator=generator).relu() * 10.0 ** (i - 1)
        for i in range(count)
    ]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 5))
def test_merged_figures_are_those_of_all_places_in_any_order(seed, count):
    parts = maps(seed, count)
    norms = np.concatenate([plain_norms(part) for part in parts])
    for order in (parts, parts[::-1]):
        found = Norms.of(order[0])
        for part in order[1:]:
            found = found.merge(Norms.of(part))
        assert found.places == len(norms) == found.histogram.sum()
        assert found.mean == pytest.approx(norms.mean(), rel=1e-12)
        assert found.std == pytest.approx(norms.std(), rel=1e-9, abs=1e-12)
        assert found.least == pytest.approx(norms.min(), rel=1e-12)
        assert found.most == pytest.approx(norms.max(), rel=1e-12)
        values = np.concatenate([np.moveaxis(p.numpy(), 1, -1).reshape(-1, 5) for p in parts])
        rms = np.sqrt((values.astype(np.float64) ** 2).mean(0))
        np.testing.assert_allclose(found.channel_rms, rms, rtol=1e-12)
        assert found.share_zero == (values == 0).mean()


@pytest.mark.parametrize("share", [0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0])
def test_quantiles_are_right_to_a_bin(share):
    features = torch.randn(2, 8, 60, 60, generator=torch.Generator().manual_seed(0))
    found = Norms.of(features * torch.linspace(0.01, 30, 60))
    exact = np.quantile(plain_norms(features * torch.linspace(0.01, 30, 60)), share)
    assert found.quantile(share) == pytest.approx(exact, rel=0.048)
    assert found.median == found.quantile(0.5)


def test_zero_and_huge_norms_are_counted_outside():
    found = Norms.of(torch.tensor([[0.0, 0.0], [2.0**40, 0.0], [1.0, 0.0]]))
    assert found.histogram[0] == found.histogram[-1] == 1
    assert found.quantile(0.2) == 0.0
    assert found.quantile(0.99) == 2.0**40
    assert found.share_zero == 4 / 6


def test_vectors_and_maps_and_half_precision():
    vector = torch.tensor([[3.0, 4.0]])
    assert Norms.of(vector).mean == 5.0
    assert Norms.of(vector[:, :, None, None].half()).mean == 5.0
    assert Norms.of(vector[:, :, None].bfloat16()).mean == 5.0
    assert Norms.of(vector).channel_rms.tolist() == [3.0, 4.0]


def test_json_holds_the_figures():
    found = Norms.of(torch.tensor([[3.0, 4.0]])).to_json()
    assert found["mean"] == found["min"] == found["max"] == found["quantiles"]["0.5"] == 5.0
    assert found["channels"] == 2
    assert found["zeros"] == 0.0
