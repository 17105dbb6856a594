"""Names of the parameters of hszhao/semseg, PSPNet's later release in PyTorch."""

from __future__ import annotations

HEADS = {"main": "cls", "aux": "aux"}
HEAD_LAYERS = {"hidden.conv": "0", "hidden.norm": "1", "score": "4"}
BRANCH_LAYERS = {"conv": "1", "norm": "2"}


def semseg_key(name: str) -> str:
    """Return the key of a parameter or statistic of PSPNet.

    Example:
        >>> semseg_key("backbone.network.conv1.3.weight")
        'layer0.3.weight'
        >>> semseg_key("context.branches.2.norm.running_mean")
        'ppm.features.2.2.running_mean'
        >>> semseg_key("heads.aux.score.bias")
        'aux.4.bias'
    """
    layer, _, kind = name.rpartition(".")
    match layer.split("."):
        case ["backbone", "network", "conv1", place]:
            layer = f"layer0.{place}"
        case ["backbone", "network", "bn1"]:
            layer = "layer0.7"
        case ["backbone", "network", *inner]:
            layer = ".".join(inner)
        case ["context", "branches", branch, part]:
            layer = f"ppm.features.{branch}.{BRANCH_LAYERS[part]}"
        case ["heads", head, *inner]:
            layer = f"{HEADS[head]}.{HEAD_LAYERS['.'.join(inner)]}"
    return f"{layer}.{kind}"
