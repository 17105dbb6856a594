"""Narrow networks of every system and trunk, and the comparison of tiles with a single pass."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from lookwider import create_model
from lookwider.backbones import create_backbone
from lookwider.backbones.chain import ChainBackbone, ConvReLU
from lookwider.classes import Classes
from lookwider.context import GlobalContext, NoContext
from lookwider.inference.tiles import TilePlan, tiled_scores
from lookwider.models import Segmenter
from lookwider.models.fcn import FCNHead
from lookwider.models.parsenet import ParseNetHead

CLASSES = Classes.numbered(3)


def narrow_chain(name: str, layers: list[str] | None = None, **options) -> ChainBackbone:
    """Return one of lookwider's own chains with 4 channels in every layer."""
    with torch.device("meta"):
        wide = create_backbone(name, layers=layers, **options)
    chain, width = {}, 3
    for layer, module in wide.named_children():
        if isinstance(module, ConvReLU):
            module = ConvReLU(
                width,
                4,
                module.kernel_size,
                stride=module.stride,
                padding=module.padding,
                dilation=module.dilation,
                groups=min(module.groups, width),
            )
            width = 4
        chain[layer] = module
    return ChainBackbone(name, chain, wide.layers, wide.preprocessing)


def narrow_fcn(trunk: str, finest: int, style: str = "same", **options) -> Segmenter:
    """Return an FCN on a narrow chain."""
    strides = {4: "norm1", 8: "pool3", 16: "pool4", 32: "fc7"}
    layers = [layer for stride, layer in strides.items() if stride >= finest]
    backbone = narrow_chain(trunk, ["fc7"] if trunk == "alexnet" else layers, style=style)
    head = FCNHead(backbone.channels, backbone.grids, len(CLASSES), zero_scores=False, **options)
    return Segmenter(backbone, NoContext(backbone.channels), {"main": head}, classes=CLASSES)


def narrow_parsenet(layers: list[str], pooled: list[str], **options) -> Segmenter:
    """Return a ParseNet on a narrow LargeFOV VGG16."""
    backbone = narrow_chain("vgg16_largefov", sorted({*layers, *pooled}))
    positions = [
        [backbone.layers.index(name) for name in backbone.layers if name in names]
        for names in (layers, pooled)
    ]
    across = options.pop("across_spatial", False)
    context = GlobalContext(backbone.channels, *positions, across_spatial=across)
    grids = [backbone.grids[i] for i in positions[0]]
    head = ParseNetHead(context.channels, grids, len(CLASSES), **options)
    return Segmenter(backbone, context, {"main": head}, classes=CLASSES)


@cache
def timm_model(name: str, backbone: str, **options) -> Segmenter:
    """Return a system on a trunk of timm."""
    torch.manual_seed(0)
    return create_model(name, backbone=backbone, classes=CLASSES, **options)


def prepared(model: Segmenter, dtype: torch.dtype = torch.float64) -> Segmenter:
    """Give every weight a value that matters: zeros and biases become noise."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() < 2 or not parameter.any():
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.add_(0.2 * noise.to(parameter))
    return model.eval().to(dtype)


def noise(model: Segmenter, size: tuple[int, int], seed: int = 0) -> Tensor:
    """Return an image of noise as the model takes it."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(1, 3, *size, generator=generator)
    return image.to(next(model.parameters()))


def one_pass(model: Segmenter, image: Tensor) -> Tensor:
    """Return the logits of the whole image: the reference."""
    with torch.inference_mode():
        return model(image)


def put_together(model: Segmenter, image: Tensor, plan: TilePlan) -> Tensor:
    """Return the logits of all tiles, side by side; NaN where there is none."""
    size = (1, model.num_classes, *image.shape[-2:])
    logits = torch.full(size, torch.nan, dtype=image.dtype)
    for tile, scores in tiled_scores(model, image, plan):
        assert logits[..., *tile.core].isnan().all(), "two tiles answer for a pixel"
        logits[..., *tile.core] = scores.logits()
    return logits


def worst(found: Tensor, wanted: Tensor) -> float:
    """Return the largest difference, in largest values."""
    return float((found - wanted).abs().max() / wanted.abs().max())
