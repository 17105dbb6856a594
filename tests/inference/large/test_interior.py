"""Tiles that touch no border of the image, and the network compiled for inference."""

import pytest
import torch
from tests.inference.tiles.small import noise, one_pass, prepared, put_together, timm_model, worst
from tests.inference.tiles.test_any_tile import system, trunk

from lookwider.inference.tiles import TilePlan

SIZE, TILE = (230, 250), (24, 40)


def interior(plan):
    """Return the tiles whose windows end before the image does, on all four sides."""
    return [
        tile
        for tile in plan.tiles
        if all(w.start > 0 and w.stop < n for w, n in zip(tile.window, plan.size, strict=True))
    ]


@pytest.mark.parametrize("name", ["fcn", "parsenet", "pspnet"])
def test_tiles_within_the_image_are_the_whole_images(name):
    backbone = trunk(first=3, padding=5, kernel=3, dilation=2, ceil=True)
    model = system(name, backbone, 1)
    plan = TilePlan.for_model(model, SIZE, tile=TILE)
    assert plan.exact
    assert len(interior(plan)) > 5
    image = noise(model, SIZE)
    assert worst(put_together(model, image, plan), one_pass(model, image)) < 1e-11


@pytest.mark.parametrize("name", ["fcn32s", "pspnet"])
def test_so_they_are_with_the_compiled_network(name):
    options = {"output_stride": 32, "aux": False} if name == "pspnet" else {}
    model = prepared(timm_model(name, "test_resnet", **options), torch.float32)
    fast = model.compile_for_inference()
    assert fast.compiled is not None
    size = (480, 512)
    plan = TilePlan.for_model(fast, size, tile=(64, 64))
    assert plan.exact
    assert interior(plan)
    image = noise(fast, size)
    found = put_together(fast, image, plan)
    assert worst(found, one_pass(fast, image)) < 1e-5
    assert worst(found, one_pass(model, image)) < 1e-5
