"""A plain network with the weights of lookwider's, and both built by one name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from lookwider import Segmenter, create_model
from lookwider.weights.convert.semseg_names import semseg_key
from lookwider.weights.convert.wkentaro_names import wkentaro_key

from .fcn import FCN8s
from .parsenet import ParseNet
from .pspnet import PSPNet

PARSENET_KEYS = {
    "context.local_norms.0": "local_norm",
    "context.global_norms.0": "global_norm",
    "heads.main.score": "score",
    "heads.main.upscore_to_image.deconvolution": "upscore",
}


def parsenet_key(name: str) -> str:
    """Return the plain ParseNet's name of a parameter of lookwider's."""
    layer, _, kind = name.removeprefix("backbone.").rpartition(".")
    return f"{PARSENET_KEYS.get(layer, layer)}.{kind}"


NETWORKS: dict[
    str, tuple[dict[str, Any], Callable[[int], nn.Module], Callable[[str], str | None]]
] = {
    "pspnet": ({"backbone": "resnet50_psp"}, PSPNet, semseg_key),
    "fcn8s": (
        {"backbone": "vgg16", "style": "released", "zero_scores": False},
        FCN8s,
        partial(wkentaro_key, last="upscore8"),
    ),
    "parsenet": ({"backbone": "vgg16_largefov", "fusion": "early"}, ParseNet, parsenet_key),
}
"""Model -> lookwider's keywords, the plain network, and from our names of weights to its."""


def counterparts(name: str, num_classes: int, seed: int = 0) -> tuple[Segmenter, nn.Module]:
    """Return lookwider's network and the plain one, with equal weights, in evaluation mode."""
    options, build, key = NETWORKS[name]
    torch.manual_seed(seed)
    model = create_model(name, num_classes=num_classes, **options).eval()
    plain = build(num_classes).eval()
    return model, with_weights(plain, model, key)


def with_weights(plain: nn.Module, model: Segmenter, key: Callable[[str], str | None]) -> nn.Module:
    """Give a plain network a model's weights; what only it has must be fixed deconvolutions."""
    state = {key(name): value for name, value in model.state_dict().items()}
    left, unknown = plain.load_state_dict(
        {name: value.clone() for name, value in state.items() if name is not None}, strict=False
    )
    assert not unknown, unknown
    assert all(name.startswith("upscore") for name in left), left
    return plain
