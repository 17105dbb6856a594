"""Names of the parameters of torchvision's FCN on dilated ResNets."""

from __future__ import annotations

HEADS = {"main": "classifier", "aux": "aux_classifier"}
HEAD_LAYERS = {"hidden.conv": "0", "hidden.norm": "1", "score": "4"}


def torchvision_key(name: str) -> str:
    """Return the key of a parameter or statistic of ``fcn_resnet50`` and ``fcn_resnet101``.

    Example:
        >>> torchvision_key("backbone.network.layer1.0.conv1.weight")
        'backbone.layer1.0.conv1.weight'
        >>> torchvision_key("heads.main.hidden.norm.running_var")
        'classifier.1.running_var'
    """
    if name.startswith("backbone.network."):
        return name.replace("backbone.network.", "backbone.", 1)
    layer, _, kind = name.rpartition(".")
    _, head, part = layer.split(".", 2)
    return f"{HEADS[head]}.{HEAD_LAYERS[part]}.{kind}"
