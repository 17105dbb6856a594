"""Semantic segmentation that looks at the whole picture before it decides on a pixel."""

from lookwider.classes import Classes, ClassMap
from lookwider.data import Batch, Sample, SceneDataset, open_dataset
from lookwider.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    LookwiderError,
    MissingExtraError,
)
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
    "load",
    "open_dataset",
    "save",
]
