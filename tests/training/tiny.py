"""A tiny data set and a tiny network with everything that has state, also run as a process."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from torch.nn import functional

from lookwider.models import create_model
from lookwider.training import run
from lookwider.training.config import TrainConfig
from lookwider.training.recipes import configure

CLASSES = 11


def make_data(folder: Path, count: int = 7, size: tuple[int, int] = (36, 44), val: int = 2) -> Path:
    """Write a data set in CamVid's layout: blocks of class colours, and some void."""
    random = np.random.default_rng(0)
    for split, images in (("train", count), ("val", val), ("test", 2)):
        for kind in (split, f"{split}annot"):
            (folder / kind).mkdir(parents=True)
        for index in range(images):
            blocks = random.integers(0, CLASSES + 1, (3, 4)).astype(np.uint8)
            label = np.kron(blocks, np.ones((12, 11), np.uint8))[: size[0], : size[1]]
            noise = random.integers(0, 40, (*label.shape, 3))
            image = (label[:, :, None] * np.array([19, 7, 13]) + noise).astype(np.uint8)
            Image.fromarray(image).save(folder / split / f"0001TP_{index:03d}.png")
            Image.fromarray(label).save(folder / f"{split}annot" / f"0001TP_{index:03d}.png")
    return folder


def tiny_config(data: Path, out: Path, **settings: Any) -> TrainConfig:
    """Return a config of a network with batch norm, momentum, averaging and accumulation."""
    values: dict[str, Any] = {
        "data": str(data),
        "out": str(out),
        "backbone": "test_efficientnet",
        "crop_size": "32,32",
        "batch_size": 2,
        "accumulate": 2,
        "steps": 20,
        "val_every": 8,
        "save_every": 3,
        "log_every": 4,
        "ema": 0.9,
        "workers": 0,
        "loss_sampling": "uniform",
        "class_weights": "median_frequency",
        "accelerator": "cpu",
        "precision": "32-true",
    }
    return configure("fcn16s", values | settings)


def plain_config(data: Path, out: Path, **settings: Any) -> TrainConfig:
    """Return a config of six plain steps."""
    plain: dict[str, Any] = {
        "steps": 6,
        "accumulate": 1,
        "val_every": 3,
        "ema": None,
        "class_weights": None,
        "loss_sampling": "whole",
        "log_every": 2,
    }
    return tiny_config(data, out, **(plain | settings))


def train(config: TrainConfig) -> run.TrainResult:
    """Train without a word."""
    return run.train(config, Console(quiet=True))


def said(config: TrainConfig, capsys: pytest.CaptureFixture[str]) -> str:
    """Train and return what was said."""
    run.train(config, Console(stderr=True, width=300))
    return capsys.readouterr().err


def slow_model_with_dropout(*args: Any, **options: Any) -> Any:
    """Build the same model, slow enough to be stopped in the middle."""
    model = model_with_dropout(*args, **options)
    model.backbone.register_forward_pre_hook(lambda module, _: time.sleep(0.03))
    return model


def model_with_dropout(*args: Any, **options: Any) -> Any:
    """Build the model and drop out features, which timm's trunks do not."""
    model = create_model(*args, **options)
    model.backbone.register_forward_hook(
        lambda module, _, features: tuple(
            functional.dropout(maps, 0.2, module.training) for maps in features
        )
    )
    return model


def main(data: str, out: str, *settings: str) -> int:
    """Train in a process of its own, as the command line does."""
    from lookwider.cli import train as command

    run.create_model = slow_model_with_dropout
    torch.set_num_threads(1)
    values = dict(setting.split("=", 1) for setting in settings)
    config = tiny_config(Path(data), Path(out), **values)
    return command.run(config, ["python", *sys.argv])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
