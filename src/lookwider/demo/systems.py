"""The three systems of the demo: one trunk, one schedule, random weights.

FCN-8s has the whole of a ResNet-18, with skips. ParseNet and PSPNet have its first half only, which
sees little of a picture by itself: what else they know of it, their context tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lookwider.data.scenes import MIN_SIZE
from lookwider.errors import ConfigError, unknown_name
from lookwider.training.config import TrainConfig

SYSTEMS: dict[str, str] = {"fcn8s": "FCN-8s", "parsenet": "ParseNet", "pspnet": "PSPNet"}
"""Model names and what the papers call them."""

BACKBONE = "resnet18"

CUT = "layer2"
"""The trunk's layer with which those that have a context end; its stride is 8."""

OPTIONS: dict[str, dict[str, Any]] = {
    "fcn8s": {},
    "parsenet": {"layers": [CUT], "context_layers": [CUT]},
    "pspnet": {"layer": CUT, "hidden": 128},
}
"""The switches of each system."""

STEPS, SIZE = 300, (96, 128)
"""What takes two cores a few minutes."""

RUNS = "runs"
"""Folder of the runs within the demo's."""


def demo_config(
    out: Path, system: str, *, steps: int = STEPS, seed: int = 0, size: tuple[int, int] = SIZE
) -> TrainConfig:
    """Return the settings of one system's training.

    AdamW at a high rate learns most in a few hundred steps without ImageNet weights.

    Args:
        out: folder of the demo.
        system: a name of `SYSTEMS`.
        steps: of the training.
        seed: of the scenes and the training.
        size: (height, width) of the scenes.

    Raises:
        ConfigError: an unknown system, or a size that is too small for the scenes.
    """
    if system not in SYSTEMS:
        raise ConfigError(unknown_name("system", system, SYSTEMS))
    height, width = size
    if min(size) < MIN_SIZE:
        raise ConfigError(
            f"got size {height}x{width}, expected at least {MIN_SIZE}x{MIN_SIZE}, e.g. 96x128"
        )
    return TrainConfig(
        recipe=system,
        model=system,
        backbone=BACKBONE,
        model_options=OPTIONS[system],
        data=f"scenes:size={height}x{width},seed={seed}",
        flip=0.5,
        steps=steps,
        batch_size=8,
        optimizer="adamw",
        base_lr=0.003,
        new_lr_factor=1.0,
        bias_lr_factor=1.0,
        weight_decay=0.05,
        warmup_steps=min(20, steps),
        clip_grad=5.0,
        val_every=max(1, steps // 3),
        val_limit=30,
        val_batch_size=10,
        log_every=max(1, min(10, steps // 10)),
        seed=seed,
        out=out / RUNS / system,
    )


def check_systems(systems: Sequence[str]) -> tuple[str, ...]:
    """Return the systems in the order of `SYSTEMS`.

    Raises:
        ConfigError: there is none, or one is unknown.

    Example:
        >>> check_systems(["pspnet", "fcn8s"])
        ('fcn8s', 'pspnet')
    """
    for system in systems:
        if system not in SYSTEMS:
            raise ConfigError(unknown_name("system", system, SYSTEMS))
    if not systems:
        raise ConfigError(f"got no system, expected some of {', '.join(SYSTEMS)}")
    return tuple(system for system in SYSTEMS if system in systems)
