"""Parameter groups, learning rates and class weights as pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lookwider.errors import ConfigError
from lookwider.training.batch_norms import ProcessorBatchNorm

NORMS = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.SyncBatchNorm,
    nn.InstanceNorm2d,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.RMSNorm,
    ProcessorBatchNorm,
)
"""Layers whose parameters are never decayed."""


def poly(step: int, max_steps: int, power: float = 0.9) -> float:
    """Return the factor ``(1 - step / max_steps) ** power`` (PSPNet, section 5.1).

    Example:
        >>> round(0.01 * poly(75_000, 150_000), 8)
        0.00535887
    """
    return float((1 - min(step, max_steps) / max_steps) ** power)


def lr_factor(
    step: int,
    max_steps: int,
    *,
    schedule: Literal["poly", "fixed"],
    power: float = 0.9,
    warmup_steps: int = 0,
) -> float:
    """Return what the learning rates are multiplied by at an optimiser step.

    Args:
        step: the step about to be taken, from 0.
        max_steps: of the run.
        schedule: ``"poly"``, or ``"fixed"`` as in the released FCN solvers.
        power: of poly.
        warmup_steps: over which the factor grows linearly from near 0 to the schedule.
    """
    factor = poly(step, max_steps, power) if schedule == "poly" else 1.0
    return factor * min(1.0, (step + 1) / (warmup_steps + 1))


@dataclass(frozen=True)
class GroupRule:
    """How parameters of the four kinds learn; see `parameter_groups`.

    Attributes:
        base_lr: of the trunk's weights.
        weight_decay: of weights.
        new_lr_factor: of everything outside the trunk.
        bias_lr_factor: of biases (Caffe's FCN: 2).
        bias_decay: whether biases decay too (Caffe's FCN: no; its AlexNet: yes).
    """

    base_lr: float
    weight_decay: float
    new_lr_factor: float = 1.0
    bias_lr_factor: float = 2.0
    bias_decay: bool = False


def parameter_groups(
    model: nn.Module, roles: Mapping[str, str], rule: GroupRule
) -> list[dict[str, Any]]:
    """Return optimiser groups: trunk and new layers, each as weights, biases and norms.

    Frozen parameters are left out; parameters of norm layers are never decayed and learn at
    their layer's rate, their biases included.

    Args:
        model: the model.
        roles: parameter name -> ``"trunk"`` or ``"new"``.
        rule: factors and decay.

    Returns:
        groups with ``name``, ``params``, ``lr``, ``initial_lr``, ``weight_decay``, in a fixed
        order; empty ones are left out.
    """
    norms = {
        f"{prefix}.{name}" if prefix else name
        for prefix, module in model.named_modules()
        if isinstance(module, NORMS)
        for name, _ in module.named_parameters(recurse=False)
    }
    members: dict[tuple[str, str], list[nn.Parameter]] = {
        (role, kind): [] for role in ("trunk", "new") for kind in ("weight", "bias", "norm")
    }
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            bias = name.rpartition(".")[2] == "bias"
            kind = "norm" if name in norms else "bias" if bias else "weight"
            members[roles[name], kind].append(parameter)
    groups = []
    for (role, kind), parameters in members.items():
        if parameters:
            lr = rule.base_lr * (rule.new_lr_factor if role == "new" else 1.0)
            lr *= rule.bias_lr_factor if kind == "bias" else 1.0
            decayed = kind == "weight" or (kind == "bias" and rule.bias_decay)
            decay = rule.weight_decay if decayed else 0.0
            groups.append(
                {
                    "name": f"{role} {kind}",
                    "params": parameters,
                    "lr": lr,
                    "initial_lr": lr,
                    "weight_decay": decay,
                }
            )
    if not groups:
        raise ConfigError("the model has no parameter that learns; unfreeze a part of it")
    return groups


def median_frequency_weights(pixels: Tensor, image_pixels: Tensor) -> Tensor:
    """Return class weights by median frequency balancing (Eigen and Fergus 2015, section 6.3.2).

    A class's frequency is its pixels divided by the valid pixels of the images that hold it;
    its weight is the median frequency divided by its own. A class without a pixel gets 0.

    Args:
        pixels: pixels of each class over the training labels.
        image_pixels: valid pixels of the images where the class is present.

    Shape:
        (K,) int64, (K,) int64 -> (K,) float32.

    Raises:
        ConfigError: no class has a pixel.

    Example:
        >>> median_frequency_weights(torch.tensor([80, 20, 0]), torch.tensor([100, 50, 0]))
        tensor([0.7500, 1.5000, 0.0000])
    """
    present = pixels > 0
    if not present.any():
        raise ConfigError("the training labels hold no class at all; check the class map")
    frequency = pixels.to(torch.float64) / image_pixels.clamp(min=1)
    # the mean of the two middle values for an even count, as in statistics
    median = frequency[present].quantile(0.5)
    return torch.where(present, median / frequency, 0.0).to(torch.float32)
