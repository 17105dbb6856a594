"""PSPNet (Zhao et al. 2017) in plain PyTorch, structured as its authors' later release is.

A ResNet with three 3 x 3 convolutions in its stem, stages 4 and 5 dilated by 2 and 4; averages by
`AdaptiveAvgPool2d`, upsampled and concatenated; the auxiliary classifier on stage 4 in training.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class Bottleneck(nn.Module):
    """A residual block of three convolutions that strides in the 3 x 3 one."""

    def __init__(self, channels: int, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(
            width, width, 3, stride, padding=dilation, dilation=dilation, bias=False
        )
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or channels != 4 * width:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width)
            )

    def forward(self, maps: Tensor) -> Tensor:
        """Return the block's maps."""
        shortcut = maps if self.downsample is None else self.downsample(maps)
        maps = self.relu(self.bn1(self.conv1(maps)))
        maps = self.relu(self.bn2(self.conv2(maps)))
        return self.relu(self.bn3(self.conv3(maps)) + shortcut)


class PyramidPooling(nn.Module):
    """Averages of 1, 4, 9 and 36 regions, upsampled and concatenated to the map."""

    def __init__(self, channels: int, bins: Sequence[int]) -> None:
        super().__init__()
        width = channels // len(bins)
        self.features = nn.ModuleList(
            nn.Sequential(
                nn.AdaptiveAvgPool2d(count),
                nn.Conv2d(channels, width, 1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            )
            for count in bins
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Return the maps and what the regions say of them."""
        size = maps.shape[2:]
        grids = [
            functional.interpolate(branch(maps), size, mode="bilinear", align_corners=True)
            for branch in self.features
        ]
        return torch.cat([maps, *grids], 1)


class PSPNet(nn.Module):
    """PSPNet of a ResNet of these numbers of blocks.

    Args:
        num_classes: classes to score.
        blocks: of the four stages; 3, 4, 6, 3 is ResNet-50.
        bins: regions along each axis.
    """

    def __init__(
        self,
        num_classes: int,
        blocks: Sequence[int] = (3, 4, 6, 3),
        bins: Sequence[int] = (1, 2, 3, 6),
    ) -> None:
        super().__init__()
        self.layer0 = nn.Sequential(
            nn.Conv2d(3, 64, 3, 2, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU(True),
            nn.Conv2d(64, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU(True),
            nn.Conv2d(64, 128, 3, padding=1, bias=False), nn.BatchNorm2d(128), nn.ReLU(True),
            nn.MaxPool2d(3, 2, padding=1),
        )  # fmt: skip
        self.layer1 = _stage(128, 64, blocks[0], stride=1, dilation=1)
        self.layer2 = _stage(256, 128, blocks[1], stride=2, dilation=1)
        self.layer3 = _stage(512, 256, blocks[2], stride=1, dilation=2)
        self.layer4 = _stage(1024, 512, blocks[3], stride=1, dilation=4)
        self.ppm = PyramidPooling(2048, bins)
        self.cls = _classifier(4096, 512, num_classes)
        self.aux = _classifier(1024, 256, num_classes)

    def scores(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return coarse scores: the classifier's, and in training the auxiliary one's."""
        fourth = self.layer3(self.layer2(self.layer1(self.layer0(images))))
        scores = self.cls(self.ppm(self.layer4(fourth)))
        return scores, self.aux(fourth) if self.training else None

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of every pixel."""
        return self.upsample(self.scores(images)[0], images)

    def loss(self, images: Tensor, labels: Tensor, aux_weight: float = 0.4) -> Tensor:
        """Return the loss of both classifiers (section 3.3)."""
        main, aux = self.scores(images)
        assert aux is not None
        losses = [
            functional.cross_entropy(self.upsample(scores, images), labels, ignore_index=255)
            for scores in (main, aux)
        ]
        return losses[0] + aux_weight * losses[1]

    @staticmethod
    def upsample(scores: Tensor, images: Tensor) -> Tensor:
        """Return the scores at every pixel of the images."""
        return functional.interpolate(scores, images.shape[2:], mode="bilinear", align_corners=True)


def _stage(channels: int, width: int, blocks: int, *, stride: int, dilation: int) -> nn.Sequential:
    first = Bottleneck(channels, width, stride, dilation)
    rest = [Bottleneck(4 * width, width, 1, dilation) for _ in range(blocks - 1)]
    return nn.Sequential(first, *rest)


def _classifier(channels: int, hidden: int, num_classes: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, hidden, 3, padding=1, bias=False),
        nn.BatchNorm2d(hidden),
        nn.ReLU(inplace=True),
        nn.Dropout2d(0.1),
        nn.Conv2d(hidden, num_classes, 1),
    )
