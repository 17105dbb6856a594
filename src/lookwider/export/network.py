"""A network as one graph for every size: the same layers, with the steps of `symbolic`.

The layers are shared with the model, so that the weights are the very same; what depends on the
image's size, taps and regions, is computed in the graph. The parity certificate compares the two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from lookwider.backbones import Features
from lookwider.context import GlobalContext, NoContext, PyramidContext
from lookwider.errors import LookwiderError
from lookwider.export.symbolic import (
    GraphTaps,
    Regions,
    region_averages,
    region_maxima,
    resample,
)
from lookwider.export.trunks import exportable_trunk
from lookwider.layers.grids import PIXELS, Grid
from lookwider.layers.l2_norm import L2Norm
from lookwider.models import Segmenter
from lookwider.models.fcn import FCNHead
from lookwider.models.parsenet import ParseNetHead
from lookwider.models.pspnet import PSPHead
from lookwider.models.upsampling import Upscore, UpscoreToImage
from lookwider.preprocessing import Preprocessing

Size = Sequence[int]
"""(height, width), of which a graph may know no numbers."""


class ExportableNetwork(nn.Module):
    """The main head of a model, from preprocessed images, or raw ones, to logits or labels.

    Args:
        model: what to export; its layers are shared, not copied, but for those of the trunk.
        labels: give the class of the highest logit of each pixel (the lower id where two are
            equal) instead of logits.
        preprocess: take raw RGB values 0..255 (uint8) and normalise them in the graph.

    Raises:
        LookwiderError: a part of the model is none of this package, so that its steps are unknown.
    """

    def __init__(self, model: Segmenter, *, labels: bool = False, preprocess: bool = False) -> None:
        super().__init__()
        self.trunk = exportable_trunk(model.backbone)
        self.context = cast(nn.Module, model.context)
        self.head = next(iter(model.heads.values()))
        for part, known in ((self.context, _CONTEXTS), (self.head, _HEADS)):
            if type(part) not in known:
                raise LookwiderError(
                    f"cannot export a model with a {type(part).__name__} of its own, expected one "
                    f"of {', '.join(kind.__name__ for kind in known)}; export it by its author's "
                    "means"
                )
        self.labels = labels
        self.in_channels = model.preprocessing.in_channels
        self.normalise = _Normalise(model.preprocessing) if preprocess else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K, H, W), or labels (N, H, W) uint8.

        Shape:
            images: (N, C, H, W).
        """
        size = images.shape[-2:]
        dtype = next(self.head.parameters()).dtype
        features = self.trunk(self.normalise(images).to(dtype))
        fused = _CONTEXTS[type(self.context)](self.context, features)
        scores, rows, cols = _HEADS[type(self.head)](self.head, fused, size)
        logits = resample(scores.to(torch.float32), rows, cols)
        return logits.argmax(1).to(torch.uint8) if self.labels else logits


class _Normalise(nn.Module):
    """`Preprocessing.normalise` as a layer."""

    mean: Tensor
    std: Tensor

    def __init__(self, numbers: Preprocessing) -> None:
        super().__init__()
        self.scale, self.reverse = numbers.scale, numbers.order == "bgr"
        self.register_buffer("mean", torch.tensor(numbers.mean)[:, None, None])
        self.register_buffer("std", torch.tensor(numbers.std)[:, None, None])

    def forward(self, images: Tensor) -> Tensor:
        """Return the normalised images."""
        values = images.to(torch.float32)
        if self.reverse:
            values = torch.cat([values[:, 2:3], values[:, 1:2], values[:, 0:1]], dim=1)
        return (values / self.scale - self.mean) / self.std


def _no_context(context: NoContext, features: Features) -> Features:
    return features


def _global_context(context: GlobalContext, features: Features) -> Features:
    """Return the local maps, normalised, then the image's averages, normalised."""
    local = [
        _normalised(norm, features[i])
        for norm, i in zip(context.local_norms, context.local, strict=True)
    ]
    averages = [
        _normalised(
            norm, features[i].to(torch.float32).mean((2, 3), keepdim=True).to(features[i].dtype)
        )
        for norm, i in zip(context.global_norms, context.pooled, strict=True)
    ]
    return (*local, *averages)


def _normalised(norm: nn.Module, maps: Tensor) -> Tensor:
    """Return what the layer gives, by steps that keep its eps in any graph.

    To the optimiser of ONNX graphs 1e-10 is nothing, and without it a place of zeros is nan:
    ``1 / sqrt(s + eps) = 1 / (sqrt(eps) sqrt(s / eps + 1))``.
    """
    if not isinstance(norm, L2Norm):
        return cast(Tensor, norm(maps))
    wide = maps.to(torch.float32)
    squares = wide.square().sum(norm.axes, keepdim=True)
    length = (squares / norm.eps + 1).sqrt() * math.sqrt(norm.eps)
    return (wide * (norm.scale[:, None, None] / length)).to(maps.dtype)


def _pyramid_context(context: PyramidContext, features: Features) -> Features:
    """Return the maps, to the last of which the upsampled grids are concatenated."""
    if not context.bins:
        return features
    last = features[-1]
    rows, cols = (Regions(context.bins, length) for length in last.shape[-2:])
    pool = region_averages if context.pooling == "average" else region_maxima
    # grids of other numbers of regions lie beside those on the diagonal, and are left
    pooled = pool(last, rows, cols).to(last.dtype)
    over_rows, over_cols = (r.spread(context.alignment).to(last.dtype) for r in (rows, cols))
    parts, start = [last], 0
    for bins, branch in zip(context.bins, context.branches, strict=True):
        own = slice(start, start + bins)
        grid = branch(pooled[..., own, own])
        parts.append(torch.matmul(over_rows[own].T, torch.matmul(grid, over_cols[own])))
        start += bins
    return (*features[:-1], torch.cat(parts, dim=1))


Scores = tuple[Tensor, GraphTaps, GraphTaps]
"""Coarse scores, with the taps of rows and columns that take them to the image."""


def _fcn(head: FCNHead, features: Features, size: Size) -> Scores:
    *skips, coarse = features
    scores = head.score_fr(coarse)
    for upscore, score_skip, scale, skip in zip(
        head.upscores, head.score_skips, head.skip_scales, skips[::-1], strict=True
    ):
        finer = score_skip(skip if scale == 1 else skip * scale)
        scores = _upscored(cast(Upscore, upscore), scores, finer)
    return _to_image(head.upscore_to_image, scores, size)


def _parsenet(head: ParseNetHead, features: Features, size: Size) -> Scores:
    scores = head.map_scores(features)
    finest = features[0].shape[-2:]
    total = scores[0]
    for position, score in enumerate(scores[1:], start=1):
        if position < len(head.grids):
            score = _onto_grid(score, head.grids[position], finest, head.grids[0])
        total = total + score
    return _to_image(head.upscore_to_image, total, size)


def _pspnet(head: PSPHead, features: Features, size: Size) -> Scores:
    scores = head.score(head.hidden(features[head.position]))
    lengths = zip(scores.shape[-2:], size, strict=True)
    if head.upsampling == "centred":
        return (scores, *_centred(scores, size, head.grid, PIXELS))
    make = GraphTaps.aligned if head.upsampling == "aligned" else GraphTaps.half_pixel
    rows, cols = (make(length, pixels) for length, pixels in lengths)
    return scores, rows, cols


def _upscored(step: Upscore, scores: Tensor, finer: Tensor) -> Tensor:
    """Return the upsampled scores and the finer ones, cropped to where both exist and added."""
    if step.plan is None:
        return _onto_grid(scores, step.coarse, finer.shape[-2:], step.fine) + finer
    kernel, factor, crop = step.plan
    finer = finer[..., max(crop, 0) :, max(crop, 0) :]
    if step.deconvolution is None:
        lengths = [(n - 1) * factor + kernel for n in scores.shape[-2:]]
        rows, cols = (
            GraphTaps.deconvolution(n, full, kernel, factor)
            for n, full in zip(scores.shape[-2:], lengths, strict=True)
        )
        upscored = resample(scores, rows, cols)
    else:
        upscored = step.deconvolution(scores)
    upscored = upscored[..., max(-crop, 0) :, max(-crop, 0) :]
    for axis in (-2, -1):
        both = torch.arange(_smaller(upscored.shape[axis], finer.shape[axis]))
        upscored, finer = upscored.index_select(axis, both), finer.index_select(axis, both)
    return upscored + finer


def _smaller(a: Any, b: Any) -> int:
    """Return the smaller of two sizes that may be no numbers; TorchScript traces tensors."""
    least = torch.minimum(a, b) if isinstance(a, Tensor) else torch.sym_min(a, b)
    return cast(int, least)


def _to_image(step: UpscoreToImage, scores: Tensor, size: Size) -> Scores:
    if step.plan is None:
        return (scores, *_centred(scores, size, step.coarse, PIXELS))
    kernel, factor, crop = step.plan
    if step.deconvolution is not None:
        scores, kernel, factor = step.deconvolution(scores), 1, 1
    rows, cols = (
        GraphTaps.deconvolution(n, pixels, kernel, factor, -crop)
        for n, pixels in zip(scores.shape[-2:], size, strict=True)
    )
    return scores, rows, cols


def _onto_grid(scores: Tensor, coarse: Grid, size: Size, fine: Grid) -> Tensor:
    return resample(scores, *_centred(scores, size, coarse, fine))


def _centred(scores: Tensor, size: Size, coarse: Grid, fine: Grid) -> tuple[GraphTaps, GraphTaps]:
    stride, offset = coarse.stride / fine.stride, (coarse.offset - fine.offset) / fine.stride
    rows, cols = (
        GraphTaps.centred(length, target, stride, offset)
        for length, target in zip(scores.shape[-2:], size, strict=True)
    )
    return rows, cols


_CONTEXTS: dict[type, Callable[[Any, Features], Features]] = {
    NoContext: _no_context,
    GlobalContext: _global_context,
    PyramidContext: _pyramid_context,
}
_HEADS: dict[type, Callable[[Any, Features, Size], Scores]] = {
    FCNHead: _fcn,
    ParseNetHead: _parsenet,
    PSPHead: _pspnet,
}
"""The steps of each part."""
