"""The model that a description asks for, built without trusting it."""

from __future__ import annotations

from pathlib import Path

import torch

from lookwider.errors import CheckpointError
from lookwider.models import Segmenter, create_model
from lookwider.weights.description import Description
from lookwider.weights.tensors import compare_tensors, tensor_entries

MAX_NUMBER = 65_536
"""Bound of every number in an architecture: a hostile one cannot ask for the whole machine."""

MAX_VALUES = 1024
"""Most values in an architecture: each may become a layer."""

MAX_HEADS = 64
"""Most further heads: each has layers of its own."""


def build(folder: Path, description: Description) -> Segmenter:
    """Make the model that a description asks for, without its weights.

    Raises:
        CheckpointError: there is no such architecture, or it asks for more than any real one.
    """
    _check_architecture(folder, description)
    try:
        keywords = {**description.architecture, "classes": description.classes}
        # The numbers drawn for weights that are about to be replaced leave no trace.
        with torch.random.fork_rng(devices=[]):
            model = create_model(**keywords | {"extra_classes": description.extra_classes})
    except Exception as error:  # whatever keywords that no one vouches for can cause
        raise CheckpointError(
            f"{folder}: its architecture cannot be built: {type(error).__name__}: {error}"
        ) from error
    model.class_map = description.class_map
    model.backbone.preprocessing = description.preprocessing
    return model


def check_tensors(folder: Path, description: Description, where: str) -> None:
    """Compare the tensors that a description lists with those of its architecture.

    The model is built on the meta device, where tensors have shapes and no memory.

    Raises:
        CheckpointError: they are not the same, or the architecture cannot be built.
    """
    with torch.device("meta"):
        skeleton = build(folder, description)
    compare_tensors(tensor_entries(skeleton), description.tensors, where)


def _check_architecture(folder: Path, description: Description) -> None:
    architecture = description.architecture
    if architecture.get("pretrained", False) is not False:
        raise CheckpointError(f"{folder}: its architecture asks for weights from elsewhere")
    count = architecture.get("num_classes")
    if count != len(description.classes):
        raise CheckpointError(
            f"{folder}: got {len(description.classes)} class names for num_classes={count!r}"
        )
    if len(description.extra_classes) > MAX_HEADS:
        raise CheckpointError(
            f"{folder}: got {len(description.extra_classes)} further heads, expected at most "
            f"{MAX_HEADS}"
        )
    values = _values(architecture)
    if len(values) > MAX_VALUES:
        raise CheckpointError(
            f"{folder}: got {len(values)} values in its architecture, expected at most {MAX_VALUES}"
        )
    numbers = [value for value in values if isinstance(value, (int, float))]
    if large := [number for number in numbers if not abs(number) <= MAX_NUMBER]:
        raise CheckpointError(
            f"{folder}: got {large[0]} in its architecture, expected at most {MAX_NUMBER}"
        )


def _values(value: object) -> list[object]:
    match value:
        case list():
            return [inner for each in value for inner in _values(each)]
        case dict():
            return [inner for each in value.values() for inner in _values(each)]
    return [value]
