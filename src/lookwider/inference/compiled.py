"""Which network computes predictions: one compiled for it, with the same scores."""

from __future__ import annotations

from typing import Literal

import torch

from lookwider.errors import ConfigError, unknown_name
from lookwider.kernels.switches import enabled
from lookwider.models import Segmenter

DTYPES: dict[str, torch.dtype | Literal["auto"]] = {
    "auto": "auto",
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
}
"""What ``--dtype`` may be; auto is bfloat16 where the device has units for it."""


def for_inference(
    model: Segmenter, dtype: torch.dtype | Literal["auto"] | None = None
) -> Segmenter:
    """Return a network for many predictions: compiled once, unless the engine is switched off.

    Args:
        model: stays as it is; one that is compiled already is returned.
        dtype: as in `Segmenter.compile_for_inference`; None for what the model computes in.
    """
    if dtype is None and (model.compiled is not None or not enabled("engine")):
        return model
    return model.compile_for_inference(dtype)


def named_dtype(name: str) -> torch.dtype | Literal["auto"]:
    """Return the dtype of a name of `DTYPES`.

    Raises:
        ConfigError: there is no such dtype.

    Example:
        >>> named_dtype("bfloat16")
        torch.bfloat16
    """
    if name not in DTYPES:
        raise ConfigError(unknown_name("dtype", name, DTYPES))
    return DTYPES[name]
