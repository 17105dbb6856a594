"""Any size of image, any size of tile, any halo: pixel by pixel, and seam by seam."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.inference.tiles.small import CLASSES, noise, one_pass, prepared, put_together, worst
from torch import nn

from lookwider.backbones.chain import ChainBackbone, ConvReLU
from lookwider.context import GlobalContext, NoContext, PyramidContext
from lookwider.inference.tiles import TilePlan, predict_tiled
from lookwider.models import Segmenter
from lookwider.models.fcn import FCNHead
from lookwider.models.parsenet import ParseNetHead
from lookwider.models.pspnet import PSPHead
from lookwider.preprocessing import default_preprocessing


def trunk(first: int, padding: int, kernel: int, dilation: int, *, ceil: bool) -> ChainBackbone:
    """Return a chain that strides by 4, of windows of any size."""
    same = (kernel - 1) * dilation // 2
    chain: dict[str, nn.Module] = {
        "conv1": ConvReLU(3, 4, first, padding=padding),
        "pool1": nn.MaxPool2d(2, 2, ceil_mode=ceil),
        "conv2": ConvReLU(4, 4, 3, stride=2, padding=1),
        "conv3": ConvReLU(4, 4, kernel, padding=same, dilation=dilation),
    }
    return ChainBackbone("small", chain, ["pool1", "conv3"], default_preprocessing(3))


def system(name: str, backbone: ChainBackbone, choice: int) -> Segmenter:
    channels, grids = backbone.channels, backbone.grids
    context: nn.Module
    if name == "fcn":
        context = NoContext(channels)
        head: nn.Module = FCNHead(channels, grids, 3, upsampling="interpolation")
    elif name == "parsenet":
        context = GlobalContext(channels, (0, 1), (0, 1), across_spatial=choice % 2 == 0)
        head = ParseNetHead(context.channels, grids, 3, upsampling="interpolation")
    else:
        alignment = ("aligned", "half_pixel", "centred")[choice]
        pooling = ("average", "max")[choice % 2]
        context = PyramidContext(channels, (1, 2, 3), pooling=pooling, norm="none")
        width = context.channels[-1]
        head = PSPHead(1, width, 4, 3, grids[1], norm="none", alignment=alignment)
    return prepared(Segmenter(backbone, context, {"main": head}, classes=CLASSES))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_tile_of_any_image(data):
    def draw(low, high):
        return data.draw(st.integers(low, high))

    backbone = trunk(
        first=draw(1, 5),
        padding=draw(2, 20),
        kernel=draw(1, 5),
        dilation=draw(1, 4),
        ceil=data.draw(st.booleans()),
    )
    name = data.draw(st.sampled_from(["fcn", "parsenet", "pspnet"]))
    model = system(name, backbone, draw(0, 2))
    size, tile = (draw(20, 90), draw(20, 150)), (draw(6, 90), draw(6, 60))
    plan = TilePlan.for_model(model, size, tile=tile)
    image = noise(model, size)
    assert worst(put_together(model, image, plan), one_pass(model, image)) < 1e-11


@pytest.mark.parametrize("name", ["fcn", "parsenet", "pspnet"])
def test_tiles_of_single_pixels(name):
    model = system(name, trunk(3, 1, 3, 1, ceil=True), 0)
    plan = TilePlan.for_model(model, (23, 22), tile=(1, 1))
    assert len(plan.tiles) == 23 * 22
    image = noise(model, (23, 22))
    assert worst(put_together(model, image, plan), one_pass(model, image)) < 1e-11


@pytest.mark.parametrize("name", ["fcn", "parsenet", "pspnet"])
def test_no_seam_where_a_smaller_halo_leaves_one(name):
    model = system(name, trunk(3, 1, 5, 2, ceil=True), 1)
    size, tile = (96, 128), (32, 32)
    image = noise(model, size)
    wanted = one_pass(model, image)

    def seams(plan):
        """Return the largest difference beside the edges of tiles, and elsewhere."""
        wrong = (put_together(model, image, plan) - wanted).abs().amax((0, 1))
        rows, cols = (torch.arange(n) % 32 for n in size)
        near = ((rows < 2) | (rows > 29))[:, None] | ((cols < 2) | (cols > 29))
        return float(wrong[near].max()), float(wrong[~near].max())

    cut = TilePlan.for_model(model, size, tile=tile, halo=0)
    assert not cut.exact
    assert 0 < cut.share_cut <= 1
    assert cut.halo < cut.halo_needed
    assert seams(cut)[0] > 1e-3
    exact = TilePlan.for_model(model, size, tile=tile, halo=cut.halo_needed)
    assert exact.exact
    assert max(seams(exact)) < 1e-11


def test_labels_and_probabilities_of_an_image():
    model = system("pspnet", trunk(3, 1, 3, 1, ceil=True), 1).float()
    image = np.random.default_rng(0).integers(0, 256, (75, 92, 3), dtype=np.uint8)
    wanted = model.predict(image, probabilities=True)
    found = predict_tiled(model, image, tile=(32, 40), probabilities=True)
    assert np.array_equal(found.labels, wanted.labels)
    assert np.abs(found.probabilities - wanted.probabilities).max() < 1e-5
    assert predict_tiled(model, image, tile=(32, 40)).probabilities is None
