"""ParseNet (Liu et al. 2015; figure 1) in plain PyTorch, with early fusion.

VGG16 "LargeFOV" of stride 8; the map and its average are L2-normalised and scaled, the average is
unpooled to every place and concatenated, one classifier scores both, and a deconvolution per class
takes the scores to the image.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .fcn import STAGES, cropped


class L2Normalise(nn.Module):
    """Every place's features get length one, then each channel its scale."""

    def __init__(self, channels: int, scale: float = 10.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((channels,), scale))

    def forward(self, maps: Tensor) -> Tensor:
        """Return the normalised maps."""
        return functional.normalize(maps, dim=1) * self.scale[:, None, None]


class ParseNet(nn.Module):
    """ParseNet on VGG16 LargeFOV.

    Args:
        num_classes: classes to score.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        channels = 3
        for stage, (width, count) in enumerate(STAGES, start=1):
            dilation = 2 if stage == 5 else 1
            for number in range(1, count + 1):
                convolution = nn.Conv2d(channels, width, 3, padding=dilation, dilation=dilation)
                self.add_module(f"conv{stage}_{number}", convolution)
                channels = width
        self.pool = nn.MaxPool2d(2, 2, ceil_mode=True)
        self.pool_same = nn.MaxPool2d(3, 1, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.fc6 = nn.Conv2d(512, 1024, 3, padding=12, dilation=12)
        self.fc7 = nn.Conv2d(1024, 1024, 1)
        self.dropout, self.context_dropout = nn.Dropout(0.5), nn.Dropout(0.3)
        self.local_norm, self.global_norm = L2Normalise(1024), L2Normalise(1024)
        self.score = nn.Conv2d(2048, num_classes, 1)
        self.upscore = nn.ConvTranspose2d(num_classes, num_classes, 16, 8, groups=num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of every pixel."""
        maps = images
        for stage, (_, count) in enumerate(STAGES, start=1):
            for number in range(1, count + 1):
                maps = self.relu(self.get_submodule(f"conv{stage}_{number}")(maps))
            maps = self.pool(maps) if stage < 4 else self.pool_same(maps)
        maps = self.dropout(self.relu(self.fc6(maps)))
        maps = self.dropout(self.relu(self.fc7(maps)))
        average = functional.adaptive_avg_pool2d(maps, 1)
        average = self.context_dropout(self.global_norm(average))
        unpooled = average.expand(-1, -1, *maps.shape[2:])
        scores = self.score(torch.cat([self.local_norm(maps), unpooled], 1))
        return cropped(self.upscore(scores), 4, images).contiguous()
