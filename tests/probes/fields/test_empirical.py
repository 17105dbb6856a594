"""Empirical fields of networks whose fields are known, and against the plain way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.probes.fields.plain_occlusion import plain_occlusion
from torch import Tensor, nn

from lookwider.errors import ConfigError, LookwiderError
from lookwider.probes.fields import empirical_field, theoretical_field
from lookwider.probes.fields.crops import smallest_part
from lookwider.probes.fields.empirical import noise_like
from lookwider.probes.network import Network

SIZE = (26, 31)


def image(size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)


def positive(*layers: nn.Module) -> Network:
    """Return a network of positive weights: whatever a window covers changes the answer."""
    network = nn.Sequential(*layers)
    for weight in network.parameters():
        nn.init.uniform_(weight, 0.5, 1.0)
    return Network(network)


def random_network(seed: int = 0) -> Network:
    torch.manual_seed(seed)
    return Network(
        nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2),
            nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(8, 5, 3, padding=1),
        )
    )  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(
    kernel=st.integers(1, 7),
    stride=st.integers(1, 3),
    window=st.integers(1, 9),
    at=st.tuples(st.integers(0, SIZE[0] - 1), st.integers(0, SIZE[1] - 1)),
    refine=st.booleans(),
)
def test_a_single_convolution_whatever_the_window(kernel, stride, window, at, refine):
    network = positive(nn.Conv2d(3, 2, kernel, stride, kernel // 2))
    field = empirical_field(
        network, image(), at, window=window, stride=1, draws=1, threshold=0, refine=refine
    )
    assert (field.region == field.theoretical.mask()).all()
    assert field.area == theoretical_field(network, "scores", at, SIZE).area
    assert field.share_of_theoretical == 1


def test_a_stack_of_convolutions_and_poolings():
    network = positive(
        nn.Conv2d(3, 4, 3), nn.AvgPool2d(2), nn.Conv2d(4, 4, 3, dilation=2), nn.Conv2d(4, 2, 2)
    )
    field = empirical_field(network, image(), (13, 14), threshold=0, stride=1, window=4)
    assert field.theoretical.extent == (14, 14)
    assert (field.region == field.theoretical.mask()).all()


def test_weights_of_zero_make_the_empirical_field_smaller_than_the_theoretical_one():
    layer = nn.Conv2d(3, 2, 11, padding=5)
    nn.init.zeros_(layer.weight)
    nn.init.ones_(layer.weight[:, :, 3:8, 4:6])
    field = empirical_field(
        Network(nn.Sequential(layer)), image(), (13, 15), window=5, stride=1, threshold=0
    )
    expected = np.zeros(SIZE, bool)
    expected[13 - 2 : 13 + 3, 15 - 1 : 15 + 1] = True
    assert (field.region == expected).all()
    assert field.area == 10
    assert field.share_of_theoretical == 10 / 121
    assert field.side == pytest.approx(10**0.5)


@pytest.mark.parametrize("window", [1, 4])
def test_a_global_average_sees_the_whole_image(window):
    network = positive(nn.Conv2d(3, 2, 1), nn.AdaptiveAvgPool2d(1))
    field = empirical_field(network, image(), (3, 4), window=window, stride=1, threshold=0)
    assert field.region.all()
    assert field.share_of_image == field.share_of_theoretical == 1


def test_a_region_of_a_pyramid():
    network = positive(nn.Conv2d(3, 2, 1), nn.AdaptiveAvgPool2d(3))
    field = empirical_field(network, image(), (12, 30), window=3, stride=1, threshold=0)
    expected = np.zeros(SIZE, bool)
    expected[8:18, 20:31] = True  # region (1, 2) of 3 x 3
    assert (field.region == expected).all()


def test_a_pyramid_sees_its_regions_and_the_whole_image_by_the_grid_of_one():
    class Pyramid(nn.Module):
        def __init__(self, *bins: int) -> None:
            super().__init__()
            self.bins = bins

        def forward(self, x: Tensor) -> Tensor:
            grids = [nn.functional.adaptive_avg_pool2d(x, b) for b in self.bins]
            up = [nn.functional.interpolate(g, x.shape[2:], mode="nearest") for g in grids]
            return torch.cat([x, *up], 1)

    field = empirical_field(Network(Pyramid(2)), image(), (0, 30), window=3, stride=1, threshold=0)
    expected = np.zeros(SIZE, bool)
    expected[:13, 15:] = True
    assert (field.region == expected).all()
    whole = empirical_field(Network(Pyramid(1, 2)), image(), (0, 30), window=3, threshold=0)
    assert whole.region.all()
    assert whole.areas[0.0] == 26 * 31 >= whole.areas[0.1] >= whole.areas[0.5]


def test_against_the_plain_way():
    network = random_network()
    given = {"window": 4, "stride": 3, "draws": 2}
    field = empirical_field(network, image(), (12, 14), "5", refine=False, batch_size=5, **given)
    values, least = plain_occlusion(network, image(), field.theoretical.cell, "5", **given)
    assert field.windows is not None
    torch.testing.assert_close(field.windows.values, values.ravel(), rtol=1e-4, atol=1e-6)
    least = (least * field.theoretical.mask()).astype(np.float32)
    torch.testing.assert_close(field.values, least, rtol=1e-4, atol=1e-6)


def test_coarse_to_fine_finds_the_region_of_all_windows_with_fewer():
    torch.manual_seed(0)
    layer = nn.Conv2d(
        3, 64, 21, padding=10
    )  # many units that look around, less far from the middle
    distance = torch.linspace(-2, 2, 21).square()
    layer.weight.data *= torch.exp(-distance[:, None] - distance)
    network = Network(nn.Sequential(layer))
    given = {"window": 4, "stride": 1, "threshold": 0.2}
    every = empirical_field(network, image(), (13, 15), refine=False, **given)
    some = empirical_field(network, image(), (13, 15), refine=True, **given)
    assert every.windows is not None
    assert some.windows is not None
    assert len(some.windows.corners) < 0.7 * len(every.windows.corners)
    assert every.area > 50
    assert (some.region & ~every.region).sum() <= 0.1 * every.area
    assert not (every.region & ~some.region).any()
    for threshold, area in every.areas.items():
        assert some.areas[threshold] >= area


def test_the_result_does_not_depend_on_the_batch():
    fields = [
        empirical_field(random_network(), image(), (12, 14), batch_size=size, draws=3)
        for size in (1, 8, 64)
    ]
    for field in fields[1:]:
        torch.testing.assert_close(field.values, fields[0].values, rtol=1e-4, atol=1e-6)
        assert (field.region == fields[0].region).all()


def test_the_noise_is_a_function_of_seed_and_draw():
    pixels = torch.rand(1, 3, 4, 5)
    pixels[:, 1] = 7.0
    noise = noise_like(pixels, 3, 1)
    assert noise.equal(noise_like(pixels, 3, 1))
    assert not noise.equal(noise_like(pixels, 3, 0))
    assert not noise.equal(noise_like(pixels, 4, 1))
    assert noise[:, 0].min() >= pixels[:, 0].min()
    assert noise[:, 0].max() <= pixels[:, 0].max()
    assert noise[:, 1].min() >= 6
    assert noise[:, 1].max() <= 8
    assert noise[:, 1].std() > 0.1
    one, other = (
        empirical_field(random_network(), image(), (12, 14), seed=seed).values for seed in (0, 1)
    )
    assert not np.array_equal(one, other)


def test_an_image_of_one_colour_can_be_probed():
    field = empirical_field(positive(nn.Conv2d(3, 2, 3)), np.full((20, 20, 3), 9, np.uint8), (9, 9))
    assert field.area > 0


def test_a_part_of_the_image_gives_what_the_whole_gives():
    network, size = random_network(), (60, 60)
    picture = image(size)
    for at in ((30, 30), (0, 0), (59, 20), (5, 59)):
        field = theoretical_field(network, "5", at, size)
        pixels = network.image(picture)
        part = smallest_part(network, pixels, field, noise_like(pixels, 0, 0))
        assert part.box.area < 0.25 * 60 * 60
        with torch.no_grad():
            whole = network.activations(pixels, ["5"])["5"][0, :, field.cell[0], field.cell[1]]
            got = part.reader(network, "5")(part.of(pixels))[0]
        torch.testing.assert_close(got, whole, rtol=1e-5, atol=1e-6)


def test_a_network_that_resizes_to_a_fixed_size_is_given_the_whole_image():
    class Fixed(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.interpolate(x, (32, 32), mode="bilinear", align_corners=True)

    network, size = Network(Fixed()), (63, 63)
    field = theoretical_field(network, "scores", (20, 20), size)
    pixels = network.image(image(size))
    part = smallest_part(network, pixels, field, noise_like(pixels, 0, 0))
    assert part.of(pixels).shape == pixels.shape
    measured = empirical_field(network, image(size), (20, 20), threshold=0, window=3, stride=1)
    assert (measured.region == measured.theoretical.mask()).all()


def test_units_of_their_own():
    class TwoPlaces(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            right = nn.functional.pad(x, (0, 5))[..., 5:]
            return torch.stack([x.sum(1), 2 * right.sum(1) + 100, 0 * x.sum(1)], 1)

    network = Network(TwoPlaces())
    given = {"window": 3, "stride": 1, "threshold": 0, "refine": False}
    field = empirical_field(network, image(), (10, 10), units=[0, 1], **given)
    assert field.windows is not None
    assert field.windows.units == (0, 1)
    own, other = field.of_unit(0), field.of_unit(1)
    assert np.argwhere(own.region).tolist() == [[10, 10]]
    assert np.argwhere(other.region).tolist() == [[10, 15]]
    assert np.argwhere(field.region).tolist() == [[10, 10], [10, 15]]
    strongest = empirical_field(network, image(), (10, 10), units=1, **given)
    assert strongest.windows is not None
    assert strongest.windows.units == (1,)
    assert strongest.area == 1
    with pytest.raises(ConfigError, match=r"unit 2 was not measured by itself; pass units=\[2\]"):
        field.of_unit(2)


def test_nothing_changes_where_nothing_is_seen():
    network = positive(nn.Conv2d(3, 2, 3))
    for weight in network.module.parameters():
        nn.init.zeros_(weight)
    field = empirical_field(network, image(), (10, 10))
    assert field.area == 0
    assert field.values.max() == 0


def test_progress_is_told():
    told: list[tuple[int, int]] = []
    empirical_field(
        random_network(), image(), (12, 14), on_progress=lambda done, of: told.append((done, of))
    )
    assert told[-1][0] == told[-1][1] > 10
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_files_and_figures(tmp_path: Path):
    field = empirical_field(random_network(), image(), (12, 14), "5", units=2)
    paths = field.save(tmp_path / "out")
    assert [path.name for path in paths] == [
        "empirical-field.npz", "empirical-field.json", "empirical-field.png",
    ]  # fmt: skip
    with np.load(paths[0]) as stored:
        assert np.array_equal(stored["values"], field.values)
        assert np.array_equal(stored["region"], field.region)
        assert stored["corners"].shape == (len(stored["discrepancies"]), 2)
        assert stored["unit_values"].shape == (len(stored["discrepancies"]), 2)
    figures = field.to_json()
    assert figures["area"] == field.area
    assert figures["settings"]["window"] == 1
    assert figures["theoretical"]["layer"] == "5"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"window": 0}, "got window=0, expected 1 to 26"),
        ({"window": 27}, "got window=27, expected 1 to 26, the shorter side"),
        ({"window": 4, "stride": 5}, "got stride=5, expected 1 to 4"),
        ({"draws": 0}, "got draws=0, expected at least 1"),
        ({"batch_size": 0}, "got batch_size=0, expected at least 1"),
        ({"threshold": 1.0}, "got threshold=1.0, expected a share of the largest value"),
        ({"threshold": -0.1}, "got threshold=-0.1, expected a share of the largest value"),
        ({"units": 0}, "got units=0, expected 1 to 5 of the layer's channels"),
        ({"units": [5]}, r"got unit 5, expected some of the layer's 0\.\.4"),
        ({"units": []}, r"got unit none, expected some of the layer's 0\.\.4"),
        ({"layer": "conv9"}, "unknown layer"),
    ],
)
def test_settings_out_of_range(setting, message):
    with pytest.raises(ConfigError, match=message):
        empirical_field(random_network(), image(), (12, 14), **setting)


def test_a_place_outside_and_an_image_too_small():
    with pytest.raises(ConfigError, match="row 26, column 0 lies outside the image of 26x31"):
        empirical_field(random_network(), image(), (26, 0))
    with pytest.raises(LookwiderError, match="cannot take an image of 1x1 pixels"):
        empirical_field(random_network(), image((1, 1)), (0, 0))
