"""One page about one run: self-contained, no network, no script."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from lookwider.classes import Classes
from lookwider.evaluation import ClassScores, Evaluation
from lookwider.evaluation.pictures import Example
from lookwider.report.figures import (
    CELL,
    Curve,
    Picture,
    confused,
    curve,
    heat_map,
    pictures,
)
from lookwider.report.parts import Breakdown, Command, Gallery
from lookwider.training.config import TrainConfig
from lookwider.training.logs import read_metrics
from lookwider.training.progress import duration
from lookwider.training.run import METRICS
from lookwider.training.run_folder import read_config

TEMPLATE = "page.html.j2"


def render(
    run: str | Path,
    evaluation: Evaluation,
    *,
    title: str,
    lead: Sequence[str] = (),
    galleries: Sequence[Gallery] = (),
    breakdown: Breakdown | None = None,
    commands: Sequence[Command] = (),
) -> str:
    """Return the page of a run as HTML: every number on it is the run's or the evaluation's.

    It holds the four metrics, the galleries, the learning curve, each class, the confusion of
    classes, the worst images of the evaluation, commands, and the complete settings.

    Args:
        run: the run's folder.
        evaluation: of the run's model.
        title: of the page.
        lead: paragraphs beneath it.
        galleries: further images.
        breakdown: the result by groups of pixels.
        commands: to go on with.

    Raises:
        ConfigError: the folder holds no config that can be read.
    """
    run = Path(run)
    environment = Environment(
        loader=PackageLoader("lookwider.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    environment.filters["thousands"] = thousands
    config, scores = read_config(run), evaluation.scores
    rows = read_metrics(run / METRICS)
    shown = list(galleries)
    if worst := worst_gallery(evaluation):
        shown.append(worst)
    return environment.get_template(TEMPLATE).render(
        title=title,
        lead=lead,
        facts=facts(config, rows, evaluation),
        scores=scores,
        classes=class_rows(scores),
        galleries=[(gallery, _rows(gallery, scores.classes)) for gallery in shown],
        legend=legend(shown, scores.classes),
        curves=learning_curves(rows),
        breakdown=breakdown,
        heat=heat_map(scores.counts.numpy(), scores.classes),
        cell=CELL,
        confused=confused(scores.counts.numpy(), scores.classes),
        commands=commands,
        settings=settings(config),
        protocol=json.dumps(evaluation.to_json()["protocol"], indent=1, default=str),
    )


def percent(share: float) -> str:
    """Return a share in per cent without the sign.

    Example:
        >>> percent(0.5), percent(float("nan"))
        ('50.0', '–')
    """
    return "–" if math.isnan(share) else f"{100 * share:.1f}"


def thousands(number: int) -> str:
    """Return a number with thin spaces between the thousands."""
    return f"{number:,}".replace(",", "\u202f")


def facts(
    config: TrainConfig, rows: Sequence[dict[str, str]], evaluation: Evaluation
) -> list[tuple[str, str]]:
    """Return what was trained and measured, in words for a list."""
    steps = int(rows[-1]["step"]) if rows else 0
    images = steps * config.batch_size * config.accumulate
    protocol = evaluation.protocol
    where = ", ".join(str(protocol[key]) for key in ("data", "split") if key in protocol)
    return [
        ("model", f"{config.model} on {config.backbone}"),
        ("began from", "ImageNet weights" if config.pretrained else _beginning(config)),
        ("trained on", f"{config.data}, {config.split}"),
        ("training", f"{steps} steps, {thousands(images)} images, {duration(run_seconds(rows))}"),
        ("measured on", f"{where or 'the data given'}: {len(evaluation.images)} images"),
        ("classes", f"{evaluation.scores.classes_present} of {len(evaluation.scores.classes)} "
         "in the truth"),
    ]  # fmt: skip


def _beginning(config: TrainConfig) -> str:
    return "random weights" if config.init_from is None else str(config.init_from)


def run_seconds(rows: Sequence[dict[str, str]]) -> float:
    """Return the seconds of a run: its clock begins anew where it was continued.

    Example:
        >>> run_seconds([{"seconds": "5"}, {"seconds": "9"}, {"seconds": "2"}])
        11.0
    """
    clock = [float(row["seconds"]) for row in rows]
    ends = [now for now, after in itertools.pairwise(clock) if after < now]
    return sum(ends) + (clock[-1] if clock else 0.0)


def learning_curves(rows: Sequence[dict[str, str]]) -> list[Curve]:
    """Return the curves of the loss and of the validation's mean IoU, where there are any."""
    drawn = []
    for title, column, factor, unit in (
        ("training loss", "loss", 1, ""),
        ("mean IoU of the validation, %", "val_mean_iou", 100, " %"),
    ):
        points = [(int(r["step"]), factor * float(r[column])) for r in rows if r[column]]
        points = [point for point in points if math.isfinite(point[1])]
        if points:
            steps, values = zip(*points, strict=True)
            drawn.append(curve(title, steps, values, unit))
    return drawn


@dataclass(frozen=True)
class ClassRow:
    """One class in the table."""

    name: str
    colour: str
    iou: float
    accuracy: float
    share: float


def class_rows(scores: ClassScores) -> list[ClassRow]:
    """Return the rows of the table of classes, in their order."""
    total = max(1, int(scores.counts.sum()))
    return [
        ClassRow(name, _hex(colour), iou, accuracy, pixels / total)
        for name, colour, iou, accuracy, pixels in zip(
            scores.classes.names,
            scores.classes.palette,
            scores.class_iou,
            scores.class_accuracy,
            scores.counts.sum(1).tolist(),
            strict=True,
        )
    ]


def worst_gallery(evaluation: Evaluation) -> Gallery | None:
    """Return the images that went worst, if any were kept."""
    if not evaluation.worst:
        return None
    return Gallery(
        "The worst images",
        "Those with the lowest mean IoU of their own: look here first when the result is not "
        "good enough.",
        tuple(Example(w.caption, w.image, w.label, w.prediction) for w in evaluation.worst),
    )


def legend(galleries: Sequence[Gallery], classes: Classes) -> list[tuple[str, str]]:
    """Return name and colour of the classes that the galleries show."""
    maps = [part for g in galleries for e in g.examples for part in (e.label, e.prediction)]
    shown = sorted({int(i) for part in maps for i in set(part.ravel().tolist())})
    return [(classes.names[i], _hex(classes.palette[i])) for i in shown if i < len(classes)]


def settings(config: TrainConfig) -> list[tuple[str, str, str]]:
    """Return name, value as JSON, and meaning of every setting."""
    values: dict[str, Any] = config.model_dump(mode="json", exclude={"resume"})
    return [
        (name, json.dumps(value), TrainConfig.model_fields[name].description or "")
        for name, value in values.items()
    ]


def _rows(gallery: Gallery, classes: Classes) -> list[tuple[str, tuple[Picture, ...]]]:
    return [(example.caption, pictures(example, classes)) for example in gallery.examples]


def _hex(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
