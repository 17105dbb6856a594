"""From run folders to a page: what ``lookwider report`` does."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from lookwider.data.first import FirstSamples
from lookwider.diagnosis import ClassRelations
from lookwider.errors import ConfigError, DataError
from lookwider.images import write_bytes
from lookwider.inference.labelled import MapOf, labelled_images
from lookwider.report.chosen import PER_GALLERY, chosen_galleries
from lookwider.report.collect import FAILURES, Collecting
from lookwider.report.page import render
from lookwider.report.parts import Command
from lookwider.report.run_report import RunReport, short_names
from lookwider.report.sections import instrument_sections
from lookwider.report.tables import listed
from lookwider.report.together import collect_runs, own_data


def write_report(
    runs: Sequence[str | Path],
    page: str | Path,
    *,
    data: str | None = None,
    split: str = "test",
    layout: str = "auto",
    class_map: MapOf = "data",
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
        train: the training data, read as ``data`` is, where the runs do not tell it.
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
    dataset = labelled_images(data, split, layout, class_map, folders[0])
    if limit is not None:
        dataset = FirstSamples(dataset, limit)
    relations = None
    if train is not None and FAILURES not in how.without:
        training = labelled_images(train, train_split, layout, class_map, folders[0])
        if training.classes.names != dataset.classes.names:
            raise DataError(
                f"the training data {train} has the classes {', '.join(training.classes.names)}; "
                f"expected {', '.join(dataset.classes.names)}"
            )
        relations = ClassRelations.of(training, workers=how.workers, console=console, show=show)
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
