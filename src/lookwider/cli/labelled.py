"""Labelled images to measure a model on, as the command line names them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lookwider.data import open_dataset
from lookwider.errors import ConfigError

if TYPE_CHECKING:
    from lookwider.data import SegmentationDataset
    from lookwider.models import Segmenter


def labelled_images(
    data: str,
    split: str,
    layout: str,
    class_map: Literal["data", "model"],
    model: Segmenter,
    checkpoint: Path,
) -> SegmentationDataset:
    """Open the data, its labels read with its own class map or with the model's.

    Raises:
        ConfigError: the model's is asked for and it has none.
        DataError: the data cannot be opened.
    """
    if class_map == "data":
        return open_dataset(data, split, layout=layout)
    if model.class_map is None:
        raise ConfigError(f"{checkpoint}: was saved without a class map; use class_map=data")
    return open_dataset(
        data, split, layout=layout, classes=model.classes, class_map=model.class_map
    )
