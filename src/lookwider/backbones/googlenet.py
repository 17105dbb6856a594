"""GoogLeNet (Szegedy et al. 2015) made fully convolutional: the average pooling is discarded.

FCN, section 4.1: "we use only the final loss layer, and improve performance by discarding the
final average pooling layer". The layers are torchvision's, with batch normalisation; its variant,
for which it has weights, has 3x3 windows where the paper has 5x5, and a last pooling of 2x2.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import googlenet as torchvision_googlenet

from lookwider.backbones.chain import ChainBackbone
from lookwider.backbones.pretrained import torchvision_weights
from lookwider.errors import ConfigError
from lookwider.preprocessing import Preprocessing, default_preprocessing

CHAIN = (
    *("conv1", "maxpool1", "conv2", "conv3", "maxpool2", "inception3a", "inception3b", "maxpool3"),
    *("inception4a", "inception4b", "inception4c", "inception4d", "inception4e", "maxpool4"),
    *("inception5a", "inception5b"),
)
"""The network up to its average pooling, in order."""

STRIDES = {2: "conv1", 4: "conv3", 8: "inception3b", 16: "inception4e", 32: "inception5b"}
"""The map that FCN scores at each stride."""


def googlenet(
    layers: Sequence[str] = tuple(STRIDES.values()),
    *,
    in_channels: int = 3,
    pretrained: bool = False,
) -> ChainBackbone:
    """Return GoogLeNet as published, without its average pooling and classifier.

    Args:
        layers: the maps to return, of `CHAIN`.
        in_channels: bands of the image.
        pretrained: not possible here, see `googlenet_torchvision`.

    Raises:
        ConfigError: pretrained weights were asked for.
    """
    if pretrained:
        raise ConfigError(
            "pretrained=true: torchvision's GoogLeNet weights are of a variant with 3x3 windows "
            "for the paper's 5x5; use backbone='googlenet_torchvision'"
        )
    chain = _chain(in_channels)
    for name, module in chain.items():
        if name.startswith("inception"):
            window = module.get_submodule("branch3.1")
            reduced = module.get_submodule("branch3.0.conv")
            widened = module.get_submodule("branch3.1.conv")
            assert isinstance(reduced, nn.Conv2d)
            assert isinstance(widened, nn.Conv2d)
            channels = reduced.out_channels, widened.out_channels
            window.add_module("conv", nn.Conv2d(*channels, 5, padding=2, bias=False))
    chain["maxpool4"] = CeilMaxPool()
    return ChainBackbone("googlenet", chain, layers, default_preprocessing(in_channels))


def googlenet_torchvision(
    layers: Sequence[str] = tuple(STRIDES.values()),
    *,
    in_channels: int = 3,
    pretrained: bool = False,
) -> ChainBackbone:
    """Return torchvision's variant of GoogLeNet, for which it has ImageNet weights.

    Args:
        layers: the maps to return, of `CHAIN`.
        in_channels: bands of the image.
        pretrained: start from torchvision's weights, which were trained on images from -1 to 1.
    """
    preprocessing = (
        Preprocessing((0.5,) * 3, (0.5,) * 3) if pretrained else default_preprocessing(in_channels)
    )
    chain = _chain(in_channels)
    backbone = ChainBackbone("googlenet_torchvision", chain, layers, preprocessing)
    if pretrained:
        weights = torchvision_weights("googlenet")
        backbone.load_state_dict({key: weights[key] for key in backbone.state_dict()})
    return backbone


def _chain(in_channels: int) -> dict[str, nn.Module]:
    network = torchvision_googlenet(
        weights=None, init_weights=False, aux_logits=False, transform_input=False
    )
    chain: dict[str, nn.Module] = {name: getattr(network, name) for name in CHAIN}
    for name in ("maxpool1", "maxpool2", "maxpool3"):
        chain[name] = CeilMaxPool()
    if in_channels != 3:
        network.conv1.conv = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
    return chain


class CeilMaxPool(nn.Module):
    """3x3 max pooling of stride 2 in ceil mode, on maps of a single cell too."""

    def forward(self, maps: Tensor) -> Tensor:
        """Return the maximum of each window.

        Shape:
            (N, C, H, W) -> (N, C, ceil((H - 1) / 2), ceil((W - 1) / 2)), at least one cell.
        """
        height, width = maps.shape[-2:]
        if min(height, width) == 1:
            maps = functional.pad(maps, (0, int(width == 1), 0, int(height == 1)), mode="replicate")
        return functional.max_pool2d(maps, 3, 2, ceil_mode=True)
