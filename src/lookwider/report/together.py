"""Measure several runs on the same images, and compare them with the first."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from lookwider.data import open_dataset
from lookwider.data.sample import SegmentationDataset
from lookwider.diagnosis import ClassRelations
from lookwider.diagnosis.comparison import compare
from lookwider.errors import ConfigError, DataError, LookwiderError
from lookwider.report.collect import FAILURES, Collecting, collect, run_config
from lookwider.report.page import check_comparable
from lookwider.report.run_report import RunReport, short_names
from lookwider.weights.checkpoint import checkpoint_folder
from lookwider.weights.description import describe


def collect_runs(
    runs: Sequence[str | Path],
    dataset: SegmentationDataset,
    *,
    names: Sequence[str] | None = None,
    relations: ClassRelations | None = None,
    how: Collecting | None = None,
    protocol: Mapping[str, Any] | None = None,
    console: Console | None = None,
    show: bool = True,
) -> tuple[RunReport, ...]:
    """Measure and probe runs on the same images; what each mended and broke of the first one.

    Args:
        runs: folders or checkpoints.
        dataset: labelled images whose classes are the models'.
        names: of the runs on the page; the ends of their paths when not given.
        relations: which classes are seen together in training; counted from the training data of
            the first run that tells it when not given.
        how: the settings of the measurement.
        protocol: what else to remember about how they were measured.
        console: for progress and messages; standard error when None.
        show: whether there are any.

    Raises:
        ConfigError: there is no run, or one is given twice.
        CheckpointError: a run holds no checkpoint, or a damaged one.
        DataError: the classes differ from the models', or an image or label is unusable.
    """
    folders, how = [Path(run) for run in runs], how or Collecting()
    console = console or Console(stderr=True)
    names = names or short_names(folders)
    check_classes(folders, dataset)
    diagnosed = FAILURES not in how.without
    if relations is None and diagnosed:
        relations = own_relations(folders, dataset, how.workers, console, show)
    # several are diagnosed while they are compared
    several = len(folders) > 1 and diagnosed and relations is not None
    each = dataclasses.replace(how, without=how.without | {FAILURES}) if several else how
    found = tuple(
        collect(
            run, dataset, name=name, relations=relations, how=each, protocol=protocol,
            console=console, show=show,
        )
        for run, name in zip(folders, names, strict=True)
    )  # fmt: skip
    check_comparable(found)
    if several and relations is not None:
        return _compared(found, dataset, relations, how, console, show)
    return found


def check_classes(runs: Sequence[Path], dataset: SegmentationDataset) -> None:
    """Raise before anything is measured, unless all runs tell the data's classes apart.

    Raises:
        CheckpointError: a run holds no checkpoint.
        DataError: its classes are not the data's.
    """
    for run in runs:
        names, expected = describe(checkpoint_folder(run)).classes.names, dataset.classes.names
        if names != expected:
            raise DataError(
                f"{run} tells {_some(names)} apart, expected the data's {_some(expected)}: give "
                "data of the run's classes, and report on runs of other classes one by one"
            )


def _some(names: Sequence[str]) -> str:
    return f"{len(names)} classes ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"


def _compared(
    runs: Sequence[RunReport],
    dataset: SegmentationDataset,
    relations: ClassRelations,
    how: Collecting,
    console: Console,
    show: bool,
) -> tuple[RunReport, ...]:
    first, *others = runs
    compared: list[RunReport] = []
    for run in others:
        assert first.predictions is not None
        assert run.predictions is not None
        found = compare(
            first.predictions, run.predictions, dataset, relations,
            names=(first.name, run.name), workers=how.workers, console=console, show=show,
        )  # fmt: skip
        compared.append(dataclasses.replace(run, diagnosis=found.second, comparison=found))
    assert compared[0].comparison is not None
    diagnosed = [dataclasses.replace(first, diagnosis=compared[0].comparison.first), *compared]
    return tuple(
        dataclasses.replace(
            run, missing={what: why for what, why in run.missing.items() if what != FAILURES}
        )
        for run in diagnosed
    )


def own_relations(
    runs: Sequence[Path],
    dataset: SegmentationDataset,
    workers: int = 2,
    console: Console | None = None,
    show: bool = True,
) -> ClassRelations | None:
    """Count which classes are seen together in the training data of the first run that tells it.

    Returns:
        None where no run tells it, or the data is not there any more or has other classes.
    """
    config = next((known for run in runs if (known := run_config(run)) is not None), None)
    if config is None:
        return None
    try:
        training = open_dataset(config.data, config.split, layout=config.layout)
    except LookwiderError:
        return None
    if training.classes.names != dataset.classes.names:
        return None
    return ClassRelations.of(training, workers=workers, console=console, show=show)


def own_data(runs: Sequence[Path]) -> str:
    """Return the data set that all runs were trained on.

    Raises:
        ConfigError: it is not known, or not one.
    """
    configs = [run_config(run) for run in runs]
    data = {config.data for config in configs if config is not None}
    if len(data) != 1 or None in configs:
        reason = f"the runs name {', '.join(sorted(data))}" if data else "the runs name none"
        raise ConfigError(f"which data? {reason}; give data=PATH, or data=scenes")
    return data.pop()
