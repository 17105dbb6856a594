"""Where to compute."""

from __future__ import annotations

import torch

from lookwider.errors import ConfigError


def choose_device(name: str = "auto") -> torch.device:
    """Return the device of this name; ``"auto"`` is a GPU where there is one.

    Raises:
        ConfigError: there is no such device here.

    Example:
        >>> choose_device("cpu")
        device(type='cpu')
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"unknown device {name!r}, expected auto, cpu, cuda or cuda:N") from error
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        raise ConfigError(f"got device {name!r}, but PyTorch sees {count} GPUs; try --device cpu")
    return device
