"""Tiny networks of every kind, whose export takes seconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from lookwider.backbones.chain import ChainBackbone, ConvReLU
from lookwider.classes import Classes
from lookwider.context import GlobalContext, NoContext, PyramidContext
from lookwider.models import Segmenter
from lookwider.models.fcn import FCNHead
from lookwider.models.parsenet import ParseNetHead
from lookwider.models.pspnet import PSPHead
from lookwider.preprocessing import CAFFE_VOC

CLASSES = Classes.numbered(4)


def trunk(padding: int = 1) -> ChainBackbone:
    """Return a trunk of strides 2 and 4 with a pooling in ceil mode."""
    chain = {
        "conv1": ConvReLU(3, 6, 3, stride=2, padding=padding),
        "pool1": nn.MaxPool2d(2, 2, ceil_mode=True),
        "conv2": ConvReLU(6, 8, 3, padding=1),
    }
    return ChainBackbone("tiny", chain, ["conv1", "conv2"], CAFFE_VOC)


def finished(backbone: ChainBackbone, context: nn.Module, head: nn.Module) -> Segmenter:
    """Return the network with weights that all matter, and normalisations that do something."""
    model = Segmenter(backbone, context, {"main": head}, classes=CLASSES)
    for tensor in [*model.parameters(), *model.buffers()]:
        if tensor.is_floating_point():
            tensor.data += 0.1 * torch.rand_like(tensor)
    return model.eval()


def tiny_fcn(padding: int = 1, **options: Any) -> Segmenter:
    backbone = trunk(padding)
    head = FCNHead(backbone.channels, backbone.grids, len(CLASSES), **options)
    return finished(backbone, NoContext(backbone.channels), head)


def tiny_parsenet(local: tuple[int, ...] = (1,), **options: Any) -> Segmenter:
    backbone = trunk()
    head_names = {"fusion", "merge", "upsampling"}
    head_options = {name: options.pop(name) for name in head_names & options.keys()}
    pooled = options.pop("pooled", (1,))
    context = GlobalContext(backbone.channels, local, pooled, **options)
    grids = [backbone.grids[i] for i in local]
    return finished(
        backbone, context, ParseNetHead(context.channels, grids, len(CLASSES), **head_options)
    )


def tiny_pspnet(alignment: str = "aligned", **options: Any) -> Segmenter:
    backbone = trunk()
    grid_alignment = "aligned" if alignment == "aligned" else "half_pixel"
    context = PyramidContext(backbone.channels, **options, alignment=grid_alignment)
    width, grid = context.channels[-1], backbone.grids[-1]
    return finished(
        backbone, context, PSPHead(1, width, 8, len(CLASSES), grid, alignment=alignment)
    )


KINDS: dict[str, Callable[[], Segmenter]] = {
    **{
        f"fcn {upsampling}": lambda upsampling=upsampling: tiny_fcn(upsampling=upsampling)
        for upsampling in ("paper", "fixed", "learned", "interpolation")
    },
    "fcn padded": lambda: tiny_fcn(21),
    "fcn padded, fixed": lambda: tiny_fcn(21, upsampling="fixed"),
    "fcn scaled skips": lambda: tiny_fcn(skip_scales=(0.1,)),
    "parsenet": tiny_parsenet,
    "parsenet early": lambda: tiny_parsenet((0, 1), pooled=(0, 1), fusion="early"),
    "parsenet merged": lambda: tiny_parsenet((0, 1), merge="learned", upsampling="fixed"),
    "parsenet whole maps": lambda: tiny_parsenet(across_spatial=True, upsampling="interpolation"),
    "parsenet plain": lambda: tiny_parsenet(normalise=False, channel_shared=True),
    "parsenet without context": lambda: tiny_parsenet(pooled=()),
    "pspnet": tiny_pspnet,
    "pspnet max": lambda: tiny_pspnet(pooling="max"),
    "pspnet not reduced": lambda: tiny_pspnet("half_pixel", reduce=False, bins=(6, 3, 2, 1)),
    "pspnet centred": lambda: tiny_pspnet("centred", norm="group", bins=(1, 5)),
    "pspnet without bins": lambda: tiny_pspnet(bins=()),
}


@pytest.fixture
def tiny() -> Callable[[str], Segmenter]:
    """Return a maker of tiny networks by kind, always with the same weights."""

    def make(kind: str) -> Segmenter:
        torch.manual_seed(0)
        return KINDS[kind]()

    return make
