"""``lookwider diagnose``: why a run fails, and what a second one mends."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from pydantic import Field
from rich.markup import escape

from lookwider.cli.completion import complete_runs_and_data
from lookwider.cli.console import messages, out
from lookwider.cli.protocol import PROTOCOL_SETTINGS, parse_protocol
from lookwider.cli.settings import Settings, split_runs
from lookwider.cli.training_data import relations_of, training_data
from lookwider.errors import ConfigError

if TYPE_CHECKING:
    from lookwider.data import SegmentationDataset
    from lookwider.diagnosis import ClassRelations, Comparison, Diagnosis, Thresholds
    from lookwider.models import Segmenter


class DiagnoseSettings(Settings):
    """The ``key=value`` settings of ``lookwider diagnose``, but for those of the protocol."""

    data: str
    split: str = "test"
    layout: str = "auto"
    class_map: Literal["data", "model"] = "data"
    limit: int | None = Field(None, ge=1)
    train: str | None = None
    train_split: str | None = None
    relations: Path | None = None
    batch_size: int = Field(1, ge=1)
    workers: int = Field(2, ge=1)
    examples: int = Field(4, ge=0)
    out: Path | None = None
    together: Literal["touching", "image"] = "touching"
    rare: float = 0.01
    mostly: float = 0.5
    part: float = 0.2
    small: float = 0.01
    contrast: float = 1.0
    alike: float = 0.05
    missed: float = 0.25
    least: float = 1e-4

    def thresholds(self) -> Thresholds:
        """Return where the kinds of failure begin."""
        from lookwider.diagnosis import Thresholds

        names = [each.name for each in fields(Thresholds)]
        return Thresholds(**{name: getattr(self, name) for name in names})


def diagnose(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN [RUN2] [KEY=VALUE]...",
            help="A run folder or checkpoint, and a second one to compare it with; data=PATH, "
            "and: split=test limit=N train=PATH train_split=train (the run's own when not given) "
            "relations=FILE out=DIR examples=4 layout=auto class_map=data|model batch_size=1 "
            "workers=2; where the kinds begin: together=touching|image rare=0.01 mostly=0.5 "
            "part=0.2 small=0.01 contrast=1 alike=0.05 missed=0.25 least=0.0001; "
            "protocol=... as of evaluate",
            autocompletion=complete_runs_and_data,
            show_default=False,
        ),
    ],
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Sort a run's failures: things out of place, objects split in two, small things missed.

    Example: lookwider diagnose runs/fcn runs/pspnet data=camvid split=test
    """
    runs, values = split_runs(words)
    if len(runs) > 2:
        raise ConfigError(f"got {len(runs)} runs, expected one, or two to compare")
    inference = parse_protocol({key: values.pop(key, None) for key in PROTOCOL_SETTINGS})
    chosen = DiagnoseSettings.parse(values, PROTOCOL_SETTINGS)
    thresholds = chosen.thresholds()
    # brings matplotlib and the training engine, which are slow to import
    from lookwider.data.first import FirstSamples
    from lookwider.diagnosis.files import remove_earlier
    from lookwider.evaluation.evaluate import check_classes
    from lookwider.inference.device import choose_device
    from lookwider.inference.labelled import labelled_images
    from lookwider.report.run_report import short_names
    from lookwider.weights.checkpoint import checkpoint_folder, load

    checkpoints = [checkpoint_folder(run) for run in runs]
    models = [load(checkpoint, device=choose_device(device)) for checkpoint in checkpoints]
    dataset = labelled_images(
        chosen.data, chosen.split, chosen.layout, chosen.class_map, checkpoints[0]
    )
    if chosen.limit is not None:
        dataset = FirstSamples(dataset, chosen.limit)
    names = short_names(runs)
    folder = chosen.out or diagnosis_folder(checkpoints, names, chosen.split)
    check_classes(models[0], dataset)
    training = training_data(runs, chosen, models[0], checkpoints[0])
    relations = relations_of(training, chosen, folder, models[0], show=not as_json)
    about: dict[str, Any] = {"thresholds": thresholds, "examples": chosen.examples}
    how: dict[str, Any] = {
        "inference": inference,
        "batch_size": chosen.batch_size,
        "workers": chosen.workers,
        "console": messages,
        "show": not as_json,
    }
    found = _find(models, names, dataset, relations, about, how)
    remove_earlier(folder)
    files = found.save(folder)
    if as_json:
        out.print(json.dumps(found.to_json()), markup=False)
    else:
        out.print(found.table(f"{' and '.join(names)} on {chosen.data}, {chosen.split}"))
        _say(found, runs, chosen, files)


def _find(
    models: Sequence[Segmenter],
    names: Sequence[str],
    dataset: SegmentationDataset,
    relations: ClassRelations,
    about: Mapping[str, Any],
    how: Mapping[str, Any],
) -> Diagnosis | Comparison:
    """Diagnose one model, or compare two."""
    from lookwider.diagnosis import compare, diagnose
    from lookwider.evaluation import evaluate
    from lookwider.evaluation.recorded import RecordedPredictions

    if len(models) == 1:
        return diagnose(models[0], dataset, relations, name=names[0], **about, **how)
    first, second = RecordedPredictions(), RecordedPredictions()
    for model, recorded in zip(models, (first, second), strict=True):
        evaluate(model, dataset, worst=0, observers=(recorded,), **how)
    return compare(
        first,
        second,
        dataset,
        relations,
        names=(names[0], names[1]),
        workers=how["workers"],
        console=how["console"],
        show=how["show"],
        **about,
    )


def diagnosis_folder(checkpoints: Sequence[Path], names: Sequence[str], split: str) -> Path:
    """Return where the results go: beside the first checkpoint, which holds nothing else.

    Example:
        >>> diagnosis_folder([Path("runs/a/best")], ["a"], "test").as_posix()
        'runs/a/diagnosis/test'
        >>> diagnosis_folder([Path("runs/a/best"), Path("b")], ["a", "b"], "val").as_posix()
        'runs/a/diagnosis/val-and-b'
    """
    from lookwider.cli.evaluate import evaluation_folder

    beside = evaluation_folder(checkpoints[0], split).parent
    beside = beside.with_name(beside.name.replace("evaluation", "diagnosis"))
    return beside / "-and-".join([split, *(name.replace("/", "-") for name in names[1:])])


def _say(
    found: Diagnosis | Comparison,
    runs: Sequence[Path],
    chosen: DiagnoseSettings,
    files: Sequence[Path],
) -> None:
    """Print what the kinds mean, where the files are and how to go on."""
    diagnosis = found.first if hasattr(found, "first") else found
    for kind in diagnosis.kinds:
        messages.print(f"{kind.title}: {kind.definition}", markup=False)
    messages.print("A pixel may be of several kinds.")
    messages.print("written: " + escape(", ".join(str(path) for path in files)))
    named = " ".join(map(str, runs))
    verb = "report" if len(runs) == 2 else "diagnose"
    other = "" if len(runs) == 2 else " OTHER_RUN"
    line = f"next: lookwider {verb} {named}{other} data={chosen.data} split={chosen.split}"
    messages.print(line, markup=False)
