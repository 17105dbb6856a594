"""Plans of tiles: what they refuse, what they say, and summaries on their way."""

import pickle

import pytest
import safetensors.torch
import torch
from tests.inference.tiles.small import (
    narrow_fcn,
    narrow_parsenet,
    noise,
    one_pass,
    prepared,
    put_together,
    timm_model,
    worst,
)

from lookwider import create_model
from lookwider.context.saving import summary_from_tensors, summary_tensors
from lookwider.errors import ConfigError, LookwiderError
from lookwider.inference.tiles import TilePlan

PARSENET = {"layers": ["fc7"], "pooled": ["fc7"]}


@pytest.fixture(scope="module")
def model():
    return prepared(narrow_parsenet(**PARSENET))


def test_cores_cover_every_pixel_once_and_windows_hold_them():
    plan = TilePlan.for_model(narrow_fcn("vgg16", 32), (150, 201), tile=(64, 100))
    count = torch.zeros(150, 201, dtype=torch.int64)
    for number, tile in enumerate(plan.tiles):
        assert tile.index == number
        count[tile.core] += 1
        for core, window, length in zip(tile.core, tile.window, plan.size, strict=True):
            assert 0 <= window.start <= core.start < core.stop <= window.stop <= length
            assert window.start % plan.step == 0
            assert (length - window.stop) % plan.step == 0
        assert tile.window_size <= plan.largest_window
    assert count.unique().tolist() == [1]
    assert (plan.step, plan.passes) == (32, 1)


def test_every_cell_is_one_tiles_own(model):
    plan = TilePlan.for_model(model, (99, 301), tile=(10, 37))
    for axis, found in enumerate((plan.rows, plan.cols)):
        for number, axes in enumerate(plan.whole.maps):
            owned = [i for span in found for i in range(*span.owned[number].indices(10**6))]
            assert owned == list(range(len(axes[axis])))


def test_a_halo_says_what_it_costs(model):
    size, image = (40, 700), noise(model, (40, 700))
    wanted = one_pass(model, image)
    shares, differences = [], []
    for halo in (0, 60, None):
        plan = TilePlan.for_model(model, size, tile=(40, 160), halo=halo)
        shares.append(plan.share_cut)
        differences.append(worst(put_together(model, image, plan), wanted))
        assert plan.exact == (halo is None)
        assert halo is None or plan.halo < halo + 2 * plan.step
    assert 1 >= shares[0] > shares[1] > shares[2] == 0
    assert min(differences[:2]) > 1e-6
    assert differences[2] < 1e-11


def test_a_network_that_mixes_all_places_needs_a_halo_to_be_accepted():
    model = prepared(timm_model("fcn32s", "test_efficientnet"))
    with pytest.raises(ConfigError, match=r"se\.conv_reduce mixes all places .* own context"):
        TilePlan.for_model(model, (64, 200), tile=(64, 64))
    plan = TilePlan.for_model(model, (64, 200), tile=(64, 64), halo=32)
    assert (plan.exact, plan.share_cut) == (False, 1)
    assert put_together(model, noise(model, (64, 200)), plan).isfinite().all()


def test_a_network_whose_cells_cannot_be_placed_is_refused():
    model = create_model("pspnet", backbone="test_vit", output_stride=16, aux=False)
    with pytest.raises(ConfigError, match=r"map .* cannot be followed back to pixels"):
        TilePlan.for_model(model, (64, 200), tile=(64, 64), halo=32)


class Resizing(torch.nn.Module):
    """Enlarges a map to the size of the image, whatever that is to the map."""

    def forward(self, maps):
        return torch.nn.functional.interpolate(maps, (64, 201), mode="bilinear")


def test_a_layer_that_resizes_by_the_images_size_is_refused():
    model = narrow_fcn("vgg16", 32)
    model.backbone.fc7 = torch.nn.Sequential(model.backbone.fc7, Resizing())
    with pytest.raises(ConfigError, match="expected whole numbers: it resizes its maps"):
        TilePlan.for_model(model, (64, 201), tile=(64, 64))


@pytest.mark.parametrize(
    ("size", "tile", "halo", "message"),
    [
        ((0, 5), (4, 4), None, "got an image of 0x5 pixels, expected at least 1x1"),
        ((5, 5), (4, 0), None, "got tiles of 4x0 pixels"),
        ((5, 5), (4, 4), -1, "got halo=-1, expected a number of pixels"),
    ],
)
def test_impossible_tiles_are_refused(model, size, tile, halo, message):
    with pytest.raises(ConfigError, match=message):
        TilePlan.for_model(model, size, tile=tile, halo=halo)


def test_an_image_that_the_network_cannot_take():
    model = narrow_fcn("alexnet", 32)
    model.backbone.conv1.padding = (0, 0)
    with pytest.raises(LookwiderError, match="cannot take an image of 1x1 pixels"):
        TilePlan.for_model(model, (1, 1), tile=(1, 1))


def test_what_tiles_are_given_must_fit(model):
    plan = TilePlan.for_model(model, (40, 700), tile=(40, 350))
    first = plan.tiles[0]
    pixels = noise(model, first.window_size)
    with pytest.raises(LookwiderError, match="got 10x12 pixels, expected the 40x"):
        plan.scores(model, first, noise(model, (10, 12)))
    with pytest.raises(LookwiderError, match="got no summary of the image"):
        plan.scores(model, first, pixels)
    part = plan.summarise(model, first, pixels)
    with pytest.raises(LookwiderError, match="merge every tile of the image exactly once"):
        plan.scores(model, first, pixels, part)
    fcn = prepared(narrow_fcn("vgg16", 32))
    alone = TilePlan.for_model(fcn, (64, 64), tile=(64, 64))
    with pytest.raises(LookwiderError, match="leave the first pass out"):
        alone.summarise(fcn, alone.tiles[0], noise(fcn, (64, 64)))


@pytest.mark.parametrize("way", ["pickle", "safetensors"])
def test_summaries_travel_and_come_back_the_same_to_the_bit(model, way, tmp_path):
    size = (40, 700)
    plan, image = TilePlan.for_model(model, size, tile=(40, 160)), noise(model, size)
    parts = [plan.summarise(model, tile, image[..., *tile.window]) for tile in plan.tiles]
    sent = []
    for part in parts:
        if way == "pickle":
            sent.append(pickle.loads(pickle.dumps(part)))
        else:
            safetensors.torch.save_file(summary_tensors(part), tmp_path / "part")
            sent.append(summary_from_tensors(safetensors.torch.load_file(tmp_path / "part")))
    found, wanted = plan.merged(sent), plan.merged(parts)
    assert summary_tensors(found).keys() == summary_tensors(wanted).keys()
    for name, tensor in summary_tensors(found).items():
        assert torch.equal(tensor, summary_tensors(wanted)[name])
    tile = plan.tiles[1]
    again = plan.scores(model, tile, image[..., *tile.window], found)
    assert torch.equal(
        again.scores, plan.scores(model, tile, image[..., *tile.window], wanted).scores
    )


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("fcn8s", {}),
        ("pspnet", {"output_stride": 32, "aux": False}),
        ("parsenet", {"output_stride": 32, "across_spatial": True}),
    ],
)
def test_networks_compiled_for_inference(name, options):
    plain = prepared(timm_model(name, "test_resnet", **options), torch.float32)
    model = plain.compile_for_inference()
    plan = TilePlan.for_model(model, (50, 600), tile=(50, 130))
    assert plan.largest_window[1] < 600
    image = noise(plain, (50, 600))
    found, wanted = put_together(model, image, plan), one_pass(plain, image)
    assert worst(found, wanted) < 1e-5
