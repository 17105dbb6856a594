"""From run folders to a page: what ``lookwider report`` does."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from rich.console import Console

from lookwider.data import open_dataset
from lookwider.data.first import FirstSamples
from lookwider.data.sample import SegmentationDataset
from lookwider.diagnosis import ClassRelations
from lookwider.errors import ConfigError
from lookwider.images import write_bytes
from lookwider.report.chosen import PER_GALLERY, chosen_galleries
from lookwider.report.collect import FAILURES, Collecting
from lookwider.report.page import render
from lookwider.report.parts import Command
from lookwider.report.run_report import RunReport, short_names
from lookwider.report.sections import instrument_sections
from lookwider.report.tables import listed
from lookwider.report.together import collect_runs, own_data
from lookwider.weights.checkpoint import checkpoint_folder
from lookwider.weights.description import describe


def write_report(
    runs: Sequence[str | Path],
    page: str | Path,
    *,
    data: str | None = None,
    split: str = "test",
    layout: str = "auto",
    class_map: Literal["data", "model"] = "data",
    limit: int | None = None,
    train: str | None = None,
    train_split: str = "train",
    images: int = PER_GALLERY,
    how: Collecting | None = None,
    console: Console | None = None,
    show: bool = True,
) -> tuple[RunReport, ...]:
    """Measure runs on the same images and write the page that compares them.

    Args:
        runs: run folders or checkpoints; the others are compared with the first.
        page: the file to write.
        data: the data set; what the runs were trained on when not given.
        split: of it.
        layout: of it.
        class_map: whose class map the labels are read with; ``"model"``: the first run's.
        limit: take its first so many images.
        train: the training data, where the runs do not tell it.
        train_split: of it.
        images: how many of the worst, the best and the most different images to show.
        how: the settings of the measurement.
        console: for progress and messages.
        show: whether there are any.

    Returns:
        What was measured, by run.

    Raises:
        ConfigError: no run, one given twice, or no data.
        CheckpointError: a run holds no checkpoint, or a damaged one.
        DataError: the data is unusable, or its classes are not the models'.
    """
    folders, how = [Path(run) for run in runs], how or Collecting()
    if not folders:
        raise ConfigError("got no run to report on, expected at least one")
    names, data = short_names(folders), data or own_data(folders)
    dataset = labelled(folders[0], data, split, layout, class_map)
    if limit is not None:
        dataset = FirstSamples(dataset, limit)
    relations = None
    if train is not None and FAILURES not in how.without:
        training = open_dataset(train, train_split)
        relations = ClassRelations.of(training, workers=how.workers, console=console, show=show)
        relations.check_classes(dataset.classes.names)
    found = collect_runs(
        folders,
        dataset,
        names=names,
        relations=relations,
        how=how,
        protocol={
            "data": data,
            "split": split,
            "layout": layout,
            "class_map": class_map,
            "limit": limit,
        },
        console=console,
        show=show,
    )
    text = render(
        found,
        title=f"{listed(names)} on {data}, {split}",
        galleries=chosen_galleries(found, dataset, images),
        commands=commands(found, data, split),
        sections=instrument_sections(found),
    )
    write_bytes(Path(page), text.encode(errors="replace"))
    return found


def labelled(
    run: Path, data: str, split: str, layout: str, class_map: Literal["data", "model"]
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


def commands(runs: Sequence[RunReport], data: str, split: str) -> tuple[Command, ...]:
    """Return how to look closer at what a page shows."""
    best = max(runs, key=lambda run: run.evaluation.mean_iou)
    run, on = shlex.quote(str(best.folder)), shlex.quote(f"data={data}")
    others = " ".join(shlex.quote(str(own.folder)) for own in runs[:2])
    return (
        Command("Measure again, with tables and JSON:",
                f"lookwider evaluate {run} {on} split={split}"),
        Command("The kinds of failure, with all examples:",
                f"lookwider diagnose {others} {on} split={split}"),
        Command("What the context does, class by class:",
                f"lookwider probe context {run} {on} split={split} limit=20"),
        Command("How far one decision looks:",
                f"lookwider probe field {run} IMAGE --at ROW,COL --layer scores"),
        Command("Segment your own images:",
                f"lookwider predict {run} FILES_OR_FOLDER --out predictions"),
    )  # fmt: skip
