"""Labelled images to measure a model on."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from lookwider.data import open_dataset
from lookwider.data.sample import SegmentationDataset
from lookwider.errors import ConfigError
from lookwider.weights.checkpoint import checkpoint_folder
from lookwider.weights.description import describe

MapOf = Literal["data", "model"]
"""Whose class map says what label values mean: the data's own, or that of a checkpoint."""


def labelled_images(
    data: str, split: str, layout: str, class_map: MapOf, run: Path
) -> SegmentationDataset:
    """Open the data, its labels read with its own class map or with that of a run.

    Raises:
        ConfigError: the run's is asked for and it has none.
        DataError: the data cannot be opened.
    """
    if class_map == "data":
        return open_dataset(data, split, layout=layout)
    own = describe(checkpoint_folder(run))
    if own.class_map is None:
        raise ConfigError(f"{run}: was saved without a class map; use class_map=data")
    return open_dataset(data, split, layout=layout, classes=own.classes, class_map=own.class_map)
