"""What a run knows about itself: how it was trained, what it scored, where it fails."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from lookwider.weights.checkpoint import checkpoint_folder
from lookwider.weights.description import WEIGHTS, Description, describe
from lookwider.weights.places import results_folder

EVALUATION, DIAGNOSIS, CONFUSION = "evaluation.json", "diagnosis.json", "confusion.png"


@dataclass(frozen=True)
class RunRecord:
    """One checkpoint and what was measured with it.

    Attributes:
        checkpoint: its folder.
        description: of the model.
        evaluations: by split, the content of ``evaluation.json``.
        diagnoses: by split, the content of ``diagnosis.json``.
        pictures: of the evaluations, by split: which class is taken for which.
    """

    checkpoint: Path
    description: Description
    evaluations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    diagnoses: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    pictures: Mapping[str, Path] = field(default_factory=dict)

    @property
    def training(self) -> Mapping[str, Any]:
        """The settings that the model was trained with; empty where they are not known."""
        config = self.description.protocol.get("config")
        return config if isinstance(config, dict) else {}


def read_record(run: str | Path) -> RunRecord:
    """Read a run: its checkpoint, and those results that were measured with just these weights.

    Raises:
        CheckpointError: there is no checkpoint, or it is damaged.
    """
    checkpoint = checkpoint_folder(run)
    description = describe(checkpoint)
    folder = results_folder(checkpoint, "evaluation")
    evaluations = {
        split: content
        for split, content in _contents(folder, EVALUATION).items()
        if _of_these_weights(content, description)
    }
    weights_written = (checkpoint / WEIGHTS).stat().st_mtime
    places = results_folder(checkpoint, "diagnosis")
    diagnoses = {
        split: content
        for split, content in _contents(places, DIAGNOSIS).items()
        if (places / split / DIAGNOSIS).stat().st_mtime >= weights_written
    }
    pictures = {split: folder / split / CONFUSION for split in evaluations}
    kept = {split: picture for split, picture in pictures.items() if picture.is_file()}
    return RunRecord(checkpoint, description, evaluations, diagnoses, kept)


def data_name(data: object) -> str:
    """Return the name of a data set without the folders of the machine that it lay on.

    Example:
        >>> data_name("/home/ann/data/camvid"), data_name("hf:scene_parse_150")
        ('camvid', 'hf:scene_parse_150')
    """
    text = str(data)
    return PurePath(text).name if PurePath(text).is_absolute() else text


def without_folders(value: Any) -> Any:
    """Return JSON content with the last part of every absolute path in the place of the path.

    Example:
        >>> without_folders({"data": "/home/ann/data/camvid", "steps": 500})
        {'data': 'camvid', 'steps': 500}
    """
    match value:
        case str():
            return data_name(value)
        case list():
            return [without_folders(each) for each in value]
        case dict():
            return {key: without_folders(each) for key, each in value.items()}
    return value


def _contents(folder: Path, name: str) -> dict[str, dict[str, Any]]:
    """Return what the files of this name in the folders of the splits hold."""
    found = {}
    for path in sorted(folder.glob(f"*/{name}")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            continue  # a card is written from what can be read
        if isinstance(content, dict):
            found[path.parent.name] = content
    return found


def _of_these_weights(evaluation: Mapping[str, Any], description: Description) -> bool:
    protocol = evaluation.get("protocol")
    return isinstance(protocol, dict) and protocol.get("sha256") == description.sha256[WEIGHTS]
