"""Names of the released Caffe networks' parameters: from ours to theirs, written ``layer[blob]``.

Caffe stores a layer's parameters in order, without names: weight and bias; slope, bias, mean and
variance of PSPNet's batch normalisation; the scales of ParseNet's L2 normalisation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from lookwider.errors import CheckpointError
from lookwider.weights.formats import CaffeNet

BLOBS = {"weight": 0, "scale": 0, "bias": 1, "running_mean": 2, "running_var": 3}
"""Place of each kind of parameter in its layer."""

FCN_LAYERS = {
    "score_skips.0": "score_pool4",
    "score_skips.1": "score_pool3",
    "upscores.0.deconvolution": "upscore2",
    "upscores.1.deconvolution": "upscore_pool4",
}
"""Layers of FCN's head that the release names by what they score."""

PARSENET_LAYERS = {
    "context.local_norms.0": "fc7_norm",
    "context.global_norms.0": "pool6_1x1_norm",
    "heads.main.scores.0": "fc7_norm_score21",
    "heads.main.context_scores.0": "pool6_1x1_norm_score21",
    "heads.main.upscore_to_image.deconvolution": "upscore21",
}
"""The release keeps "score21" in the names whatever the number of classes."""

PSPNET_LAYERS = {
    "conv1.0": "conv1_1_3x3_s2",
    "conv1.1": "conv1_1_3x3_s2/bn",
    "conv1.3": "conv1_2_3x3",
    "conv1.4": "conv1_2_3x3/bn",
    "conv1.6": "conv1_3_3x3",
    "bn1": "conv1_3_3x3/bn",
    "heads.main.hidden.conv": "conv5_4",
    "heads.main.hidden.norm": "conv5_4/bn",
    "heads.main.score": "conv6",
}
"""The stem and the head; the stages and the regions follow a rule."""

BOTTLENECK = {
    "conv1": "1x1_reduce",
    "bn1": "1x1_reduce/bn",
    "conv2": "3x3",
    "bn2": "3x3/bn",
    "conv3": "1x1_increase",
    "bn3": "1x1_increase/bn",
    "downsample.0": "1x1_proj",
    "downsample.1": "1x1_proj/bn",
}
"""The layers of a residual block."""


def blobs(net: CaffeNet) -> dict[str, Tensor]:
    """Return a network's parameters by ``layer[blob]``.

    Raises:
        CheckpointError: two layers with parameters have one name.
    """
    result: dict[str, Tensor] = {}
    for layer in net.layers:
        for index, blob in enumerate(layer.blobs):
            name = f"{layer.name}[{index}]"
            if name in result:
                raise CheckpointError(
                    f"two layers are called {layer.name!r}, expected one; the file is damaged"
                )
            result[name] = blob
    return result


def fcn_layer(layer: str, last: str, heads: Mapping[str, str]) -> str:
    """Return the release's name of a layer of FCN.

    Args:
        layer: our name.
        last: the release's name of the deconvolution to the image.
        heads: what the release adds to the names of each head's layers.

    Example:
        >>> fcn_layer("heads.geometric.score_fr", "upscore16", {"geometric": "_geo"})
        'score_fr_geo'
    """
    if layer.startswith("backbone."):
        return layer.removeprefix("backbone.")
    _, head, inner = layer.split(".", 2)
    names = FCN_LAYERS | {"upscore_to_image.deconvolution": last}
    return names.get(inner, inner) + heads[head]


def fcn_blob(name: str, *, last: str, heads: Mapping[str, str]) -> str:
    """Return the blob of a parameter of FCN; see `fcn_layer`.

    Example:
        >>> fcn_blob("heads.main.score_skips.0.bias", last="upscore16", heads={"main": ""})
        'score_pool4[1]'
    """
    layer, _, kind = name.rpartition(".")
    return f"{fcn_layer(layer, last, heads)}[{BLOBS[kind]}]"


def trunk_blob(name: str) -> str | None:
    """Return the blob of a trunk's parameter; a classifier has none of the others.

    Example:
        >>> trunk_blob("backbone.fc6.weight"), trunk_blob("heads.main.score_fr.weight")
        ('fc6[0]', None)
    """
    if not name.startswith("backbone."):
        return None
    layer, _, kind = name.removeprefix("backbone.").rpartition(".")
    return f"{layer}[{BLOBS[kind]}]"


def parsenet_blob(name: str) -> str:
    """Return the blob of a parameter of ParseNet.

    Example:
        >>> parsenet_blob("context.global_norms.0.scale")
        'pool6_1x1_norm[0]'
    """
    layer, _, kind = name.rpartition(".")
    return f"{PARSENET_LAYERS.get(layer, layer.removeprefix('backbone.'))}[{BLOBS[kind]}]"


def pspnet_blob(name: str, *, bins: Sequence[int]) -> str | None:
    """Return the blob of a parameter of PSPNet; None for the counter that Caffe does not have.

    Args:
        name: our name.
        bins: the regions per side of each branch of our model.

    Example:
        >>> pspnet_blob("backbone.network.layer2.0.bn1.running_var", bins=(6, 3, 2, 1))
        'conv3_1_1x1_reduce/bn[3]'
        >>> pspnet_blob("context.branches.0.conv.weight", bins=(6, 3, 2, 1))
        'conv5_3_pool6_conv[0]'
    """
    layer, _, kind = name.removeprefix("backbone.network.").rpartition(".")
    if kind == "num_batches_tracked":
        return None
    if layer.startswith("layer"):
        stage, block, inner = layer.removeprefix("layer").split(".", 2)
        layer = f"conv{int(stage) + 1}_{int(block) + 1}_{BOTTLENECK[inner]}"
    elif layer.startswith("context.branches."):
        branch, part = layer.removeprefix("context.branches.").split(".")
        layer = f"conv5_3_pool{bins[int(branch)]}_conv" + ("/bn" if part == "norm" else "")
    else:
        layer = PSPNET_LAYERS[layer]
    return f"{layer}[{BLOBS[kind]}]"
