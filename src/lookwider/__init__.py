"""Semantic segmentation that looks at the whole picture before it decides on a pixel."""

import importlib
import typing

if typing.TYPE_CHECKING:
    from lookwider.classes import Classes, ClassMap
    from lookwider.data import Batch, Sample, SceneDataset, open_dataset
    from lookwider.errors import (
        CheckpointError,
        ConfigError,
        DataError,
        LookwiderError,
        MissingExtraError,
    )
    from lookwider.hub import from_pretrained, push_to_hub
    from lookwider.models import Segmenter, create_model
    from lookwider.predictions import Prediction
    from lookwider.preprocessing import Preprocessing
    from lookwider.scores import ScoreMap
    from lookwider.weights import load, save

__version__ = "0.1.0"

__all__ = [
    "Batch",
    "CheckpointError",
    "ClassMap",
    "Classes",
    "ConfigError",
    "DataError",
    "LookwiderError",
    "MissingExtraError",
    "Prediction",
    "Preprocessing",
    "Sample",
    "SceneDataset",
    "ScoreMap",
    "Segmenter",
    "create_model",
    "from_pretrained",
    "load",
    "open_dataset",
    "push_to_hub",
    "save",
]

_PARTS = {
    "classes": ("Classes", "ClassMap"),
    "data": ("Batch", "Sample", "SceneDataset", "open_dataset"),
    "errors": (
        *("CheckpointError", "ConfigError", "DataError", "LookwiderError", "MissingExtraError"),
    ),
    "hub": ("from_pretrained", "push_to_hub"),
    "models": ("Segmenter", "create_model"),
    "predictions": ("Prediction",),
    "preprocessing": ("Preprocessing",),
    "scores": ("ScoreMap",),
    "weights": ("load", "save"),
}
_PART_OF = {name: part for part, names in _PARTS.items() for name in names}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for: PyTorch takes seconds, a help page none."""
    if name not in _PART_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_PART_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
