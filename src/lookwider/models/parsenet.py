"""ParseNet (Liu, Rabinovich, Berg 2015; figure 1): the image's average feature in every decision.

::

    image -> trunk -> fc7 --------------- L2 norm ---- score ----------- +
                       |                                                 |
                       |                               broadcast to all  | -> upscore (x8)
                       |                                                 |
                  average (pool6) ------- L2 norm ---- context score --- +

The paper unpools the average, concatenates and classifies (early fusion); a classifier is linear,
so scoring both and adding is the same, and the replicated map is never built.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from lookwider.backbones import Backbone, Dilation, Features, create_backbone, stride_layers
from lookwider.classes import Classes
from lookwider.context import GlobalContext
from lookwider.errors import ConfigError, check_choice
from lookwider.layers.grids import Grid
from lookwider.models.segmenter import Segmenter
from lookwider.models.upsampling import Step, UpscoreToImage, fixed_filter_weights, onto_grid
from lookwider.scores import ScoreMap

Fusion = Literal["late", "early"]
"""``"late"``: every map has its classifier and the scores are merged, as released; ``"early"``:
one classifier of all maps concatenated. They differ in their biases and in ``merge`` alone."""

Merge = Literal["sum", "learned"]
"""How late fusion merges scores: their sum, or a sum with a learned weight per map."""


class ParseNetHead(nn.Module):
    """Score local maps and averages of the image, and add all scores.

    Args:
        channels: widths of the local maps, fine to coarse, then of the averages.
        grids: where the local maps' cells lie; scores of coarser maps are interpolated at the
            finest one's.
        num_classes: classes to score.
        fusion: one classifier per map or one for all.
        merge: how the scores of late fusion are merged.
        upsampling: onto the image; learned filters are one per class, with a bias.
    """

    takes_deferred_maps = True  # see `fused_for`

    def __init__(
        self,
        channels: Sequence[int],
        grids: Sequence[Grid],
        num_classes: int,
        *,
        fusion: Fusion = "late",
        merge: Merge = "sum",
        upsampling: Step = "learned",
    ) -> None:
        super().__init__()
        check_choice("fusion", fusion, get_args(Fusion))
        check_choice("merge", merge, get_args(Merge))
        check_choice("upsampling", upsampling, get_args(Step))
        if fusion == "early" and merge == "learned":
            raise ConfigError("merge='learned' needs fusion='late': early fusion has one score")
        self.channels, self.grids = tuple(channels), tuple(grids)
        local, averages = self.channels[: len(grids)], self.channels[len(grids) :]
        self.score: nn.Conv2d | None = None
        self.scores, self.context_scores = nn.ModuleList(), nn.ModuleList()
        self.merge_weights: nn.Parameter | None = None
        if fusion == "early":
            self.score = _classifier(sum(self.channels), num_classes)
        else:
            self.scores.extend(_classifier(width, num_classes) for width in local)
            self.context_scores.extend(_classifier(width, num_classes) for width in averages)
        if merge == "learned":
            self.merge_weights = nn.Parameter(torch.ones(len(self.channels)))
        self.upscore_to_image = UpscoreToImage(num_classes, self.grids[0], upsampling, grouped=True)

    @property
    def alignment(self) -> str:
        """How the scores come to lie on the image, in words."""
        return self.upscore_to_image.alignment

    @property
    def grid(self) -> Grid:
        """Where the cells of the returned scores lie in the image."""
        return self.upscore_to_image.grid

    @property
    def fixed_weights(self) -> int:
        """Weights that a release stores and that are computed here."""
        return fixed_filter_weights(self)

    def forward(self, features: Features, size: tuple[int, int]) -> ScoreMap:
        """Return the scores of an image of this (height, width).

        Shape:
            features: the local maps (N, C_i, h_i, w_i), fine to coarse, then the averages
            (N, C_j, 1, 1).
        """
        scores = self.map_scores(features)
        finest = (int(features[0].shape[-2]), int(features[0].shape[-1]))
        total = scores[0]
        for position, score in enumerate(scores[1:], start=1):
            if position < len(self.grids):
                score = onto_grid(score, self.grids[position], finest, self.grids[0])
            total = total + score  # the averages' 1 x 1 scores hold for every place
        score_map: ScoreMap = self.upscore_to_image(total, size)
        return score_map

    def map_scores(self, features: Features) -> list[Tensor]:
        """Return the scores of each map, on its own grid."""
        return self._early(features) if self.score is not None else self._late(features)

    def _early(self, features: Features) -> list[Tensor]:
        """Return each map's part of the score of the concatenated maps; the first has the bias."""
        assert self.score is not None
        parts = torch.split(self.score.weight, list(self.channels), dim=1)
        biases = [self.score.bias, *[None] * (len(parts) - 1)]
        return [
            functional.conv2d(maps, weight, bias)
            for maps, weight, bias in zip(features, parts, biases, strict=True)
        ]

    def _late(self, features: Features) -> list[Tensor]:
        classifiers = [*self.scores, *self.context_scores]
        scores = [score(maps) for score, maps in zip(classifiers, features, strict=True)]
        if self.merge_weights is not None:
            weights = self.merge_weights.unbind()
            scores = [score * weight for score, weight in zip(scores, weights, strict=True)]
        return scores


def parsenet(
    backbone: str = "vgg16_largefov",
    *,
    classes: Classes,
    extra_classes: Mapping[str, Classes],
    layers: Sequence[str] | None = None,
    context_layers: Sequence[str] | None = None,
    normalise: bool = True,
    fusion: Fusion = "late",
    merge: Merge = "sum",
    scale: float = 10.0,
    across_spatial: bool = False,
    channel_shared: bool = False,
    learned_scale: bool = True,
    context_dropout: float = 0.3,
    upsampling: Step = "learned",
    output_stride: int = 8,
    dilation: Dilation = "published",
    in_channels: int = 3,
    pretrained: bool = False,
) -> Segmenter:
    """Return a ParseNet; by default the released one, on VGG16 LargeFOV.

    Args:
        backbone: vgg16_largefov, or any timm model that can be dilated to ``output_stride``, or
            whose stride it is (16 or 32 for transformers).
        classes: what to tell apart.
        extra_classes: a further head per set of labels, on the same trunk.
        layers: the maps that are scored place by place; the trunk's last when not given.
        context_layers: the maps that are averaged over the image; the trunk's last when not
            given, none for the paper's baseline.
        normalise: L2-normalise every map, with learned scales.
        fusion: one classifier per map, or one for all.
        merge: how late fusion merges the scores.
        scale: initial value of the scales.
        across_spatial: one length for a whole map instead of one per place.
        channel_shared: one scale for all channels of a map.
        learned_scale: whether the scales are learned.
        context_dropout: share of the averages' channels dropped in training.
        upsampling: of the scores to the image.
        output_stride: timm trunks are dilated so that no map is coarser.
        dilation: what is done to the layers that no longer stride.
        in_channels: bands of the image.
        pretrained: start the trunk from ImageNet weights.

    Raises:
        ConfigError: a layer is unknown, or the trunk cannot be dilated.
    """
    trunk = _trunk(
        backbone, layers, context_layers, output_stride, dilation, in_channels, pretrained
    )
    last = (trunk.layers[-1],)
    local = _positions(trunk, last if layers is None else layers)
    pooled = _positions(trunk, last if context_layers is None else context_layers)
    context = GlobalContext(
        trunk.channels,
        local,
        pooled,
        normalise=normalise,
        scale=scale,
        across_spatial=across_spatial,
        channel_shared=channel_shared,
        learned_scale=learned_scale,
        dropout=context_dropout,
    )
    heads = {
        name: ParseNetHead(
            context.channels,
            [trunk.grids[i] for i in local],
            len(head_classes),
            fusion=fusion,
            merge=merge,
            upsampling=upsampling,
        )
        for name, head_classes in {"main": classes, **extra_classes}.items()
    }
    return Segmenter(trunk, context, heads, classes=classes, extra_classes=extra_classes)


def _trunk(
    backbone: str,
    layers: Sequence[str] | None,
    context_layers: Sequence[str] | None,
    output_stride: int,
    dilation: Dilation,
    in_channels: int,
    pretrained: bool,
) -> Backbone:
    """Return the trunk with every map that is scored or averaged."""
    if layers is not None and not layers:
        raise ConfigError("got no layers, expected at least one map to score; leave layers out")
    if backbone == "vgg16_largefov" and output_stride != 8:
        raise ConfigError(f"got output_stride={output_stride}, but vgg16_largefov's is always 8")
    last = (list(stride_layers(backbone, in_channels).values())[-1],)
    wanted = {*(layers or last), *(last if context_layers is None else context_layers)}
    return create_backbone(
        backbone,
        layers=sorted(wanted),
        in_channels=in_channels,
        pretrained=pretrained,
        output_stride=None if backbone == "vgg16_largefov" else output_stride,
        dilation=dilation,
    )


def _positions(trunk: Backbone, layers: Sequence[str]) -> list[int]:
    """Return where the layers are among the trunk's maps, fine to coarse."""
    return [position for position, layer in enumerate(trunk.layers) if layer in layers]


def _classifier(width: int, num_classes: int) -> nn.Conv2d:
    """Return a 1 x 1 classifier that starts as the release's does."""
    classifier = nn.Conv2d(width, num_classes, 1)
    nn.init.xavier_uniform_(classifier.weight)
    assert classifier.bias is not None
    nn.init.zeros_(classifier.bias)
    return classifier
