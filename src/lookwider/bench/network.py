"""What to measure: a trained run, a model by name, or the demo's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from lookwider.errors import ConfigError, unknown_name
from lookwider.models import Segmenter, create_model
from lookwider.models.registry import MODELS, model_options
from lookwider.weights.checkpoint import load
from lookwider.weights.hub_files import hub_address

DEMO = ("pspnet", "resnet18", {"layer": "layer2", "hidden": 128})
"""The demo's PSPNet, which any machine computes in milliseconds."""


def network_to_measure(
    given: str | None,
    *,
    backbone: str | None = None,
    num_classes: int | None = None,
    device: torch.device,
) -> Segmenter:
    """Return the network of a run folder or of a model's name; the demo's PSPNet when None.

    A model by its name has random weights, which take as long as trained ones.

    Args:
        given: a folder, ``hf://OWNER/NAME`` or a name of `MODELS`.
        backbone: of a model by name; the paper's when None.
        num_classes: of a model by name; 21 when None.
        device: where the model is put.

    Raises:
        ConfigError: there is no such folder or model, or a run's own setting was given, too.
    """
    if given is not None and (hub_address(given) is not None or Path(given).is_dir()):
        if backbone is not None or num_classes is not None:
            raise ConfigError(
                f"got --backbone or --classes with the run {given}, which has its own; leave them "
                "out, or give a model's name instead of a run"
            )
        return load(given, device=device)
    options: dict[str, Any] = {}
    if given is None:
        given, trunk, changes = DEMO
        options = dict(changes) if backbone is None else {}
        backbone = backbone or trunk
    if given not in MODELS:
        raise ConfigError(f"{unknown_name('run or model', given, MODELS)}, or the folder of a run")
    if "zero_scores" in model_options(given):
        options["zero_scores"] = False  # scores that are all zero would make labels too easy
    torch.manual_seed(0)
    model = create_model(given, backbone=backbone, num_classes=num_classes or 21, **options)
    return model.to(device).eval()
