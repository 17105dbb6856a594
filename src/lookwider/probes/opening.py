"""A network to probe by a short text: a run, somebody's own module, or a model's name."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import torch
from torch import nn

from lookwider.errors import ConfigError
from lookwider.models import create_model
from lookwider.models.registry import MODELS
from lookwider.probes.network import Network
from lookwider.weights.checkpoint import load
from lookwider.weights.hub_files import hub_address

_CALLABLE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


def open_network(text: str | Path, device: str | torch.device = "cpu") -> Network:
    """Return the network that a text means.

    Args:
        text: a run folder, checkpoint or ``hf://OWNER/NAME``; ``package.module:function`` for a
            function or class that is called without arguments and returns a module (looked for in
            the current folder too); or the name of a model, which gets random weights: its fields
            are as trained.
        device: where it goes.

    Raises:
        ConfigError: it is none of these, or the function does not return a module.
        CheckpointError: the checkpoint is damaged.

    Example:
        >>> open_network("torch.nn:Identity").name
        'torch.nn:Identity'
    """
    name = str(text)
    if hub_address(text) is not None or Path(text).exists():
        return Network(load(text, device=device), name=name)
    if _CALLABLE.fullmatch(name):
        return Network(_called(name).to(device), name=name)
    if name in MODELS:
        return Network(create_model(name).to(device), name=name)
    raise ConfigError(
        f"{name}: no such run or checkpoint; expected a folder, package.module:function for a "
        f"module of your own, or one of {', '.join(sorted(MODELS))} with random weights"
    )


def _called(text: str) -> nn.Module:
    """Return what the function that a text names makes."""
    place, _, attribute = text.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        found = importlib.import_module(place)
        for part in attribute.split("."):
            found = getattr(found, part)
    except Exception as error:  # what is imported is somebody else's code
        raise ConfigError(f"{text}: cannot be imported: {error}") from error
    if not callable(found):
        raise ConfigError(f"{text}: got a {type(found).__name__}, expected a function or class")
    try:
        made = found()
    except Exception as error:  # it is somebody else's code
        raise ConfigError(f"{text}: failed with {type(error).__name__}: {error}") from error
    if not isinstance(made, nn.Module):
        raise ConfigError(f"{text}: returned a {type(made).__name__}, expected a torch.nn.Module")
    return made.eval()
