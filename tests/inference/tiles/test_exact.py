"""Tiles give what one pass over the whole image gives: every system, trunk and alignment."""

import pytest
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
from lookwider.inference.tiles import TilePlan

ROUNDING = 1e-11
LONG, HIGH = (71, 901), (803, 66)


def assert_equal(model, size, tile, halo=None):
    model = prepared(model)
    plan = TilePlan.for_model(model, size, tile=tile, halo=halo)
    assert plan.exact
    assert plan.share_cut == 0
    assert max(plan.largest_window) < max(size), "no tile is smaller than the image"
    image = noise(model, size)
    found, wanted = put_together(model, image, plan), one_pass(model, image)
    assert worst(found, wanted) < ROUNDING


UPSAMPLINGS = ["paper", "fixed", "learned", "interpolation"]


@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
@pytest.mark.parametrize(("size", "tile"), [(LONG, (71, 130)), (HIGH, (97, 50))])
def test_fcn_8s(upsampling, size, tile):
    assert_equal(narrow_fcn("vgg16", 8, upsampling=upsampling), size, tile)


@pytest.mark.parametrize("finest", [16, 32])
def test_fcn_16s_and_32s(finest):
    assert_equal(narrow_fcn("vgg16", finest), LONG, (40, 200))


@pytest.mark.parametrize("upsampling", ["paper", "fixed", "learned"])
def test_fcn_as_released_with_its_hundred_pixels_of_padding(upsampling):
    model = narrow_fcn("vgg16", 8, style="released", upsampling=upsampling)
    assert_equal(model, (71, 1203), (71, 97))


@pytest.mark.parametrize("trunk", ["vgg16", "alexnet"])
@pytest.mark.parametrize("style", ["same", "released"])
def test_fcn_32s_on_the_papers_trunks(trunk, style):
    assert_equal(narrow_fcn(trunk, 32, style=style), (1103, 45), (160, 45))


PARSENETS = [
    {"layers": ["fc7"], "pooled": ["fc7"]},
    {"layers": ["fc7"], "pooled": []},
    {"layers": ["fc7"], "pooled": ["fc7"], "fusion": "early"},
    {"layers": ["pool2", "pool3", "fc7"], "pooled": ["conv4_3", "fc7"], "merge": "learned"},
    {"layers": ["pool3", "fc7"], "pooled": ["fc7"], "across_spatial": True},
    {"layers": ["fc7"], "pooled": [], "across_spatial": True, "upsampling": "interpolation"},
    {"layers": ["pool2", "fc7"], "pooled": ["pool1"], "fusion": "early", "upsampling": "fixed"},
]


@pytest.mark.parametrize("options", PARSENETS, ids=str)
def test_parsenet(options):
    assert_equal(narrow_parsenet(**options), LONG, (36, 111))


PSPNETS = [
    {"alignment": "aligned"},
    {"alignment": "half_pixel"},
    {"alignment": "centred"},
    {"alignment": "centred", "grid_alignment": "aligned"},
    {"pooling": "max"},
    {"pooling": "max", "reduce": False},
    {"reduce": False, "bins": (1, 5)},
    {"bins": ()},
]


@pytest.mark.parametrize("options", PSPNETS, ids=str)
def test_pspnet(options):
    model = timm_model("pspnet", "test_resnet", output_stride=32, hidden=8, norm="none", **options)
    assert_equal(model, (61, 745), (30, 101))


TRUNKS = ["test_resnet", "test_convnext", "test_mambaout", "tf_mobilenetv3_small_minimal_100"]


@pytest.mark.parametrize("trunk", TRUNKS)
@pytest.mark.parametrize("size", [(37, 1165), (1424, 33)])
def test_trunks_of_timm(trunk, size):
    assert_equal(timm_model("fcn32s", trunk), size, (144, 133))


def test_googlenet_whose_last_pooling_widens_single_cells():
    assert_equal(create_model("fcn32s", backbone="googlenet", num_classes=3), (5, 1733), (5, 311))


def test_several_labels_and_images_at_once():
    model = create_model("fcn32s", backbone="test_resnet", extra_classes={"kind": 2})
    model = prepared(model)
    plan = TilePlan.for_model(model, (50, 600), tile=(50, 100))
    images = torch.cat([noise(model, (50, 600), seed) for seed in (0, 1)])
    with torch.inference_mode():
        wanted = model(images)
    for tile in plan.tiles:
        found = plan.scores(model, tile, images[..., *tile.window]).logits()
        assert worst(found, wanted[..., *tile.core]) < ROUNDING
