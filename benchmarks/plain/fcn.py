"""FCN-8s (Long et al. 2015) in plain PyTorch, as the released network is laid out.

VGG16 after 100 pixels of padding, fc6 and fc7 as convolutions, scores of three maps, and
deconvolutions of every class to every class that begin as bilinear ones, each cropped by the
release's offsets.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))


class FCN8s(nn.Module):
    """FCN-8s on VGG16.

    Args:
        num_classes: classes to score.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        channels = 3
        for stage, (width, count) in enumerate(STAGES, start=1):
            for number in range(1, count + 1):
                padding = 100 if channels == 3 else 1
                convolution = nn.Conv2d(channels, width, 3, padding=padding)
                self.add_module(f"conv{stage}_{number}", convolution)
                channels = width
        self.pool = nn.MaxPool2d(2, 2, ceil_mode=True)
        self.relu = nn.ReLU(inplace=True)
        self.fc6, self.fc7 = nn.Conv2d(512, 4096, 7), nn.Conv2d(4096, 4096, 1)
        self.dropout = nn.Dropout2d()
        self.score_fr = nn.Conv2d(4096, num_classes, 1)
        self.score_pool3 = nn.Conv2d(256, num_classes, 1)
        self.score_pool4 = nn.Conv2d(512, num_classes, 1)
        self.upscore2 = deconvolution(num_classes, 4, 2)
        self.upscore_pool4 = deconvolution(num_classes, 4, 2)
        self.upscore8 = deconvolution(num_classes, 16, 8)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of every pixel."""
        maps, pooled = images, []
        for stage, (_, count) in enumerate(STAGES, start=1):
            for number in range(1, count + 1):
                maps = self.relu(self.get_submodule(f"conv{stage}_{number}")(maps))
            maps = self.pool(maps)
            pooled.append(maps)
        maps = self.dropout(self.relu(self.fc6(maps)))
        maps = self.dropout(self.relu(self.fc7(maps)))
        scores = self.upscore2(self.score_fr(maps))
        scores = scores + cropped(self.score_pool4(pooled[3]), 5, scores)
        scores = self.upscore_pool4(scores)
        scores = scores + cropped(self.score_pool3(pooled[2]), 9, scores)
        return cropped(self.upscore8(scores), 31, images).contiguous()


def cropped(maps: Tensor, start: int, like: Tensor) -> Tensor:
    """Return as many rows and columns as another tensor has, from one place on."""
    height, width = like.shape[2:]
    return maps[:, :, start : start + height, start : start + width]


def deconvolution(channels: int, kernel: int, stride: int, groups: int = 1) -> nn.ConvTranspose2d:
    """Return a deconvolution that begins as bilinear upsampling, without bias."""
    layer = nn.ConvTranspose2d(channels, channels, kernel, stride, groups=groups, bias=False)
    factor = (kernel + 1) // 2
    centre = factor - 0.5 if kernel % 2 == 0 else factor - 1
    line = 1 - (torch.arange(kernel) - centre).abs() / factor
    with torch.no_grad():
        layer.weight.zero_()
        for channel in range(channels):
            layer.weight[channel, 0 if groups > 1 else channel] = torch.outer(line, line)
    return layer
