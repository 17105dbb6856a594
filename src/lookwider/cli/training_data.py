"""The training data of a run, and which classes are seen together in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from lookwider.cli.console import messages
from lookwider.errors import ConfigError, DataError

if TYPE_CHECKING:
    from lookwider.cli.diagnose import DiagnoseSettings
    from lookwider.data import SegmentationDataset
    from lookwider.diagnosis import ClassRelations
    from lookwider.models import Segmenter


class TrainingData(NamedTuple):
    """Where to count which classes are seen together.

    Attributes:
        dataset: the images.
        told: which they are, for people.
    """

    dataset: SegmentationDataset
    told: str


def training_data(
    runs: Sequence[Path], chosen: DiagnoseSettings, model: Segmenter, checkpoint: Path
) -> TrainingData | None:
    """Open the training data, told or the run's own; None where its relations are given.

    Told data is read as the test data is, the run's own as in training.

    Raises:
        ConfigError: nothing tells which data the run was trained on.
        DataError: its classes are not the model's.
    """
    from lookwider.inference.labelled import labelled_images
    from lookwider.report.collect import run_config

    if chosen.relations is not None:
        return None
    config = next((known for run in runs if (known := run_config(run)) is not None), None)
    class_map: Literal["data", "model"] = "data"
    if chosen.train is not None:
        data, split, layout = chosen.train, chosen.train_split or "train", chosen.layout
        class_map = chosen.class_map
    elif config is not None:
        data, split, layout = config.data, chosen.train_split or config.split, config.layout
    else:
        raise ConfigError(
            f"{runs[0]}: a checkpoint without its run's config.json, so its training data is not "
            "known; give train=DATA, or relations=FILE of an earlier diagnosis"
        )
    dataset = labelled_images(data, split, layout, class_map, checkpoint)
    if dataset.classes.names != model.classes.names:
        raise DataError(
            f"the training data {data} has {len(dataset.classes)} classes: "
            f"{', '.join(dataset.classes.names)}; expected the model's {len(model.classes)}: "
            f"{', '.join(model.classes.names)}; give train=DATA of these classes"
        )
    read = ", the model's class map" if class_map == "model" else ""
    return TrainingData(dataset, f"{len(dataset)} images: {data}, {split}, layout {layout}{read}")


def relations_of(
    training: TrainingData | None,
    chosen: DiagnoseSettings,
    folder: Path,
    model: Segmenter,
    *,
    show: bool,
) -> ClassRelations:
    """Return which classes are seen together in training: read, or counted once and kept.

    Raises:
        DataError: a file of relations cannot be read, or they are of other classes.
    """
    from lookwider.diagnosis import ClassRelations

    if training is None:
        assert chosen.relations is not None
        relations = ClassRelations.load(chosen.relations)
        relations.check_classes(model.classes.names)
        return relations
    kept = folder / "relations.json"
    if kept.is_file():
        relations = ClassRelations.load(kept)
        if (relations.counted_on, relations.names) == (training.told, model.classes.names):
            return relations
    relations = ClassRelations.of(
        training.dataset,
        counted_on=training.told,
        workers=chosen.workers,
        console=messages,
        show=show,
    )
    relations.save(kept)
    return relations
