"""FCN (Long, Shelhamer, Darrell 2015; figure 3): coarse scores, joined by finer ones, upsampled.

::

    image -> trunk -> pool3 -------- pool4 -------- fc7
                        |              |             | score_fr
                        |              |          upscore (x2)
                        |         score_skips[0] --> +  (cropped and summed)
                        |                         upscore (x2)
                   score_skips[1] --------------->   +  (cropped and summed)
                                                  upscore (x8) -> cropped to the image

FCN-32s is score_fr and one upsampling of 32, FCN-16s adds pool4, FCN-8s adds pool3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch import nn

from lookwider.backbones import Features, Style, create_backbone, stride_layers
from lookwider.classes import Classes
from lookwider.context import NoContext
from lookwider.errors import ConfigError, unknown_name
from lookwider.layers.grids import Grid
from lookwider.models.segmenter import Segmenter
from lookwider.models.upsampling import Step, Upscore, UpscoreToImage, fixed_filter_weights
from lookwider.scores import ScoreMap

Upsampling = Literal["paper", "fixed", "learned", "interpolation"]
"""``"paper"``: deconvolutions, the last fixed and the others learned (section 3.3); ``"fixed"``:
none learned, as released; ``"learned"``: all learned; ``"interpolation"``: bilinear, none learned.
"""


class FCNHead(nn.Module):
    """Score every map, upsample the coarse scores and add the finer ones (figure 3).

    Args:
        channels: widths of the maps to score, fine to coarse.
        grids: where their cells lie in the image.
        num_classes: classes to score.
        upsampling: how scores are upsampled.
        skip_scales: a fixed factor on each skip before it is scored, coarse to fine.
        zero_scores: start all scores at zero (section 4.3), or as PyTorch starts convolutions.
    """

    def __init__(
        self,
        channels: Sequence[int],
        grids: Sequence[Grid],
        num_classes: int,
        *,
        upsampling: Upsampling = "paper",
        skip_scales: Sequence[float] | None = None,
        zero_scores: bool = True,
    ) -> None:
        super().__init__()
        *skips, coarse = channels
        inner, last = _steps(upsampling)
        self.skip_scales = tuple(skip_scales or [1.0] * len(skips))
        if len(self.skip_scales) != len(skips):
            raise ConfigError(f"got {len(self.skip_scales)} skip_scales for {len(skips)} skips")

        self.skip_widths = tuple(skips[::-1])
        self.score_fr = nn.Conv2d(coarse, num_classes, 1)
        self.score_skips = nn.ModuleList(nn.Conv2d(c, num_classes, 1) for c in skips[::-1])
        self.upscores = nn.ModuleList()
        grid = grids[-1]
        for skip_grid in grids[-2::-1]:
            upscore = Upscore(num_classes, grid, skip_grid, inner)
            self.upscores.append(upscore)
            grid = upscore.grid
        self.upscore_to_image = UpscoreToImage(num_classes, grid, last)
        if zero_scores:
            for score in (self.score_fr, *self.score_skips):
                nn.init.zeros_(score.weight)
                nn.init.zeros_(score.bias)

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
        """Weights that the released networks store and that are computed here."""
        scales = sum(
            width
            for scale, width in zip(self.skip_scales, self.skip_widths, strict=True)
            if scale != 1
        )
        return scales + fixed_filter_weights(self)

    def forward(self, features: Features, size: tuple[int, int]) -> ScoreMap:
        """Return the scores of an image of this (height, width).

        Shape:
            features: (N, C_i, h_i, w_i), fine to coarse.
        """
        *skips, coarse = features
        scores = self.score_fr(coarse)
        for upscore, score_skip, scale, skip in zip(
            self.upscores, self.score_skips, self.skip_scales, skips[::-1], strict=True
        ):
            scores = upscore(scores, score_skip(skip if scale == 1 else skip * scale))
        score_map: ScoreMap = self.upscore_to_image(scores, size)
        return score_map


def fcn32s(**options: Any) -> Segmenter:
    """Return FCN-32s: one upsampling from the coarsest map."""
    return fcn(finest_stride=32, **options)


def fcn16s(**options: Any) -> Segmenter:
    """Return FCN-16s: FCN-32s and the skip of stride 16."""
    return fcn(finest_stride=16, **options)


def fcn8s(**options: Any) -> Segmenter:
    """Return FCN-8s: FCN-16s and the skip of stride 8."""
    return fcn(finest_stride=8, **options)


def fcn8s_atonce(*, skip_scales: Sequence[float] = (0.01, 0.0001), **options: Any) -> Segmenter:
    """Return FCN-8s for training all at once: the skips are scaled down before they are scored.

    The factors 0.01 and 0.0001 are the release's; they fit features of VGG16's magnitude.
    """
    return fcn(finest_stride=8, skip_scales=skip_scales, **options)


def fcn(
    backbone: str = "vgg16",
    *,
    classes: Classes,
    extra_classes: Mapping[str, Classes],
    finest_stride: int = 8,
    style: Style = "same",
    upsampling: Upsampling = "paper",
    skip_scales: Sequence[float] | None = None,
    zero_scores: bool = True,
    in_channels: int = 3,
    pretrained: bool = False,
) -> Segmenter:
    """Return an FCN that joins every map of the trunk from ``finest_stride`` on.

    Args:
        backbone: alexnet, googlenet, vgg16, or any timm model.
        classes: what to tell apart.
        extra_classes: a further head per set of labels, on the same trunk (SIFT Flow).
        finest_stride: stride of the finest skip; the trunk's coarsest for no skip.
        style: ``"same"``, or ``"released"`` with its 100 pixels of padding.
        upsampling: how scores are upsampled.
        skip_scales: a fixed factor on each skip, coarse to fine.
        zero_scores: start all scores at zero.
        in_channels: bands of the image.
        pretrained: start the trunk from ImageNet weights.

    Raises:
        ConfigError: the trunk has no map of that stride (lists those it has).
    """
    layers = stride_layers(backbone, in_channels)
    if finest_stride not in layers:
        known = ", ".join(str(stride) for stride in layers)
        raise ConfigError(
            f"{backbone} has no map of stride {finest_stride}, only of {known}; choose another "
            "backbone, or finest_stride among these"
        )
    trunk = create_backbone(
        backbone,
        layers=[layer for stride, layer in layers.items() if stride >= finest_stride],
        style=style,
        in_channels=in_channels,
        pretrained=pretrained,
    )
    heads = {
        name: FCNHead(
            trunk.channels,
            trunk.grids,
            len(head_classes),
            upsampling=upsampling,
            skip_scales=skip_scales,
            zero_scores=zero_scores,
        )
        for name, head_classes in {"main": classes, **extra_classes}.items()
    }
    return Segmenter(
        trunk, NoContext(trunk.channels), heads, classes=classes, extra_classes=extra_classes
    )


def _steps(upsampling: Upsampling) -> tuple[Step, Step]:
    """Return how the inner upsamplings and the last one are done."""
    steps: dict[str, tuple[Step, Step]] = {
        "paper": ("learned", "fixed"),
        "fixed": ("fixed", "fixed"),
        "learned": ("learned", "learned"),
        "interpolation": ("interpolation", "interpolation"),
    }
    if upsampling not in steps:
        raise ConfigError(unknown_name("upsampling", upsampling, steps))
    return steps[upsampling]
