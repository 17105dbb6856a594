"""PSPNet (Zhao, Shi, Qi, Wang, Jia 2017; figure 3): a pyramid of region averages.

::

    image -> ResNet, stage 4 --- heads.aux: conv 3x3, score (training only)
                     stage 5 ------------------------+
                        |- 1 x 1 averages, conv, up -|
                        |- 2 x 2 averages, conv, up -| concatenate
                        |- 3 x 3 averages, conv, up -|
                        |- 6 x 6 averages, conv, up -+- conv 3x3, score, up

Without bins it is the paper's baseline, a dilated FCN, which is also torchvision's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from torch import nn

from lookwider.backbones import Dilation, Features, StrideOn, create_backbone, stride_layers
from lookwider.classes import Classes
from lookwider.context import PyramidContext
from lookwider.context.regions import Pooling
from lookwider.errors import ConfigError, check_choice, unknown_name
from lookwider.kernels.pyramid import GridAlignment
from lookwider.layers.grids import Grid
from lookwider.layers.norms import ConvNormReLU, Norm
from lookwider.layers.taps import Taps
from lookwider.models.segmenter import Segmenter
from lookwider.scores import ScoreMap

Alignment = Literal["aligned", "half_pixel", "centred"]
"""How scores lie on the image: first and last cells on its first and last pixels, as published;
cells as areas, as torchvision has it; or each cell where the trunk's windows centre it."""


class PSPHead(nn.Module):
    """A 3 x 3 convolution, dropout and a classifier on one of the fused maps.

    Args:
        position: of the map among the fused ones.
        channels: its width.
        hidden: width of the convolution.
        num_classes: classes to score.
        grid: where the map's cells lie.
        norm: after the convolution.
        dropout: share of the hidden values dropped in training.
        alignment: how the scores lie on the image.
    """

    fixed_weights = 0
    takes_deferred_maps = True  # see `fused_for`

    def __init__(
        self,
        position: int,
        channels: int,
        hidden: int,
        num_classes: int,
        grid: Grid,
        *,
        norm: Norm = "batch",
        dropout: float = 0.1,
        alignment: Alignment = "aligned",
    ) -> None:
        super().__init__()
        check_choice("alignment", alignment, get_args(Alignment))
        self.position = position
        areas = Grid(grid.stride, (grid.stride - 1) / 2)
        self.grid = areas if alignment == "half_pixel" else grid
        self.upsampling: Alignment = alignment
        self.hidden = ConvNormReLU(channels, hidden, 3, norm)
        self.dropout = nn.Dropout(dropout)
        self.score = nn.Conv2d(hidden, num_classes, 1)

    @property
    def alignment(self) -> str:
        """How the scores come to lie on the image, in words."""
        if self.upsampling == "centred":
            return f"bilinear by cell centres: {self.grid.offset:g} + {self.grid.stride:g} i"
        corners = "corners aligned" if self.upsampling == "aligned" else "cells as areas"
        return f"bilinear, {corners}"

    def forward(self, features: Features, size: tuple[int, int]) -> ScoreMap:
        """Return the scores of an image of this (height, width).

        Shape:
            features: fused maps, of which one (N, C, h, w) is scored.
        """
        scores = self.score(self.dropout(self.hidden(features[self.position])))
        rows, cols = (
            self._taps(int(length), pixels)
            for length, pixels in zip(scores.shape[-2:], size, strict=True)
        )
        return ScoreMap(scores, rows, cols)

    def _taps(self, length: int, size: int) -> Taps:
        if self.upsampling == "aligned":
            return Taps.aligned(length, size)
        if self.upsampling == "half_pixel":
            return Taps.half_pixel(length, size)
        return Taps.centred(length, size, self.grid.stride, self.grid.offset)


def pspnet(
    backbone: str = "resnet50_psp",
    *,
    classes: Classes,
    extra_classes: Mapping[str, Classes],
    layer: str | None = None,
    bins: Sequence[int] = (1, 2, 3, 6),
    pooling: Pooling = "average",
    reduce: bool = True,
    hidden: int | None = None,
    aux: bool = True,
    norm: Norm = "batch",
    dropout: float = 0.1,
    output_stride: int = 8,
    dilation: Dilation = "published",
    stride_on: StrideOn = "3x3",
    alignment: Alignment = "aligned",
    grid_alignment: GridAlignment | None = None,
    in_channels: int = 3,
    pretrained: bool = False,
) -> Segmenter:
    """Return a PSPNet.

    Args:
        backbone: resnet50_psp, resnet101_psp, resnet152_psp, resnet269_psp, or any timm model
            that can be dilated.
        classes: what to tell apart.
        extra_classes: a further head per set of labels, on the same trunk.
        layer: the trunk's map that the pyramid is of, with which the trunk ends; its last when not
            given.
        bins: regions along each axis, in the order of concatenation; none for the baseline.
        pooling: average or maximum of each region.
        reduce: divide each grid's channels by the number of grids.
        hidden: width of the convolution before the classifier; a quarter of the trunk's when not
            given, as published, which is little on narrow trunks.
        aux: score the last map but one in training, for the auxiliary loss.
        norm: after the new convolutions.
        dropout: before the classifiers.
        output_stride: no map of the trunk is coarser.
        dilation: what is done to the layers that no longer stride.
        stride_on: where bottlenecks stride: ``"1x1"`` in the released pspnet50_ADE20K,
            ``"3x3"`` in the released 101 nets and in the PyTorch release.
        alignment: how scores lie on the image.
        grid_alignment: how grids of regions lie on the map; as ``alignment`` when not given.
        in_channels: bands of the image.
        pretrained: start the trunk from ImageNet weights.

    Raises:
        ConfigError: the trunk cannot be dilated, or an option has no such value.
    """
    layers = _layers(backbone, in_channels, layer)
    if aux and len(layers) < 2:
        raise ConfigError(
            f"aux=true needs a map before the last, but of {backbone} there is {layers[0]} alone; "
            "use aux=false"
        )
    trunk = create_backbone(
        backbone,
        layers=layers[-2:] if aux else layers[-1:],
        in_channels=in_channels,
        pretrained=pretrained,
        output_stride=output_stride,
        dilation=dilation,
        stride_on=stride_on,
    )
    if grid_alignment is None:
        grid_alignment = "aligned" if alignment == "aligned" else "half_pixel"
    context = PyramidContext(
        trunk.channels, bins, pooling=pooling, reduce=reduce, norm=norm, alignment=grid_alignment
    )

    def head(position: int, channels: int, hidden: int, num_classes: int) -> PSPHead:
        return PSPHead(
            position,
            channels,
            hidden,
            num_classes,
            trunk.grids[position],
            norm=norm,
            dropout=dropout,
            alignment=alignment,
        )

    width = trunk.channels[-1] // 4 if hidden is None else hidden
    if width < 1:
        raise ConfigError(f"got hidden={hidden}, expected a positive number")
    heads = {
        name: head(len(trunk.layers) - 1, context.channels[-1], width, len(head_classes))
        for name, head_classes in {"main": classes, **extra_classes}.items()
    }
    if aux:
        heads["aux"] = head(0, trunk.channels[0], trunk.channels[0] // 4, len(classes))
    return Segmenter(
        trunk,
        context,
        heads,
        classes=classes,
        extra_classes=extra_classes,
        training_only=frozenset({"aux"} & heads.keys()),
    )


def _layers(backbone: str, in_channels: int, last: str | None) -> list[str]:
    """Return the last layer of each of the trunk's strides, up to the layer of this name."""
    layers = list(stride_layers(backbone, in_channels).values())
    if last is None:
        return layers
    if last not in layers:
        raise ConfigError(unknown_name(f"layer of {backbone}", last, layers))
    return layers[: layers.index(last) + 1]
