"""ImageNet weights by name, from the local cache or the network."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor
from torchvision.models import get_model_weights

from lookwider.errors import ConfigError

Fetched = TypeVar("Fetched")


def torchvision_weights(name: str) -> dict[str, Tensor]:
    """Return torchvision's default ImageNet weights of a classifier.

    Raises:
        ConfigError: they are neither in the cache nor can they be downloaded.
    """
    weights = get_model_weights(name).DEFAULT
    state: dict[str, Tensor] = fetched(
        f"torchvision's {name}", lambda: weights.get_state_dict(progress=True, check_hash=True)
    )
    return state


def fetched(what: str, fetch: Callable[[], Fetched]) -> Fetched:
    """Return what ``fetch`` gives; a failed download becomes an error that says what to do."""
    try:
        return fetch()
    except (OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(
            f"pretrained=true: the ImageNet weights of {what} are not in the cache and could not "
            f"be downloaded ({reason}); connect to the network, copy the file into "
            f"{torch.hub.get_dir()}/checkpoints, or train from scratch with pretrained=false"
        ) from error
