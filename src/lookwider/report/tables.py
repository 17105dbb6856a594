"""The tables of a page: metrics, classes, what was trained, and what differs."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lookwider.report.parts import Cell, Table, marked
from lookwider.report.run_report import RunReport
from lookwider.training.config import TrainConfig
from lookwider.training.progress import duration

METRICS = {
    "mean IoU": "mean_iou",
    "pixel accuracy": "pixel_accuracy",
    "mean accuracy": "mean_accuracy",
    "frequency weighted IoU": "freq_weighted_iou",
}
"""The four metrics by their names on a page."""

LIKE_NO_OTHER = frozenset({"out", "resume"})
"""Settings that differ between any two runs."""


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


def summary_table(runs: Sequence[RunReport]) -> Table:
    """Return the runs' metrics, time and size; the best of each marked."""
    scores = [run.evaluation.scores for run in runs]
    columns = [
        marked([getattr(s, key) for s in scores], [percent(getattr(s, key)) for s in scores])
        for key in METRICS.values()
    ]
    seconds = [run.evaluation.seconds / max(1, len(run.evaluation.images)) for run in runs]
    columns += [
        marked(seconds, [f"{s:.3g}" for s in seconds], highest=False),
        tuple(Cell(thousands(run.parameters)) for run in runs),
        tuple(Cell(run.model) for run in runs),
        tuple(Cell(training(run) or "not known") for run in runs),
    ]
    heads = (*(f"{name}, %" for name in METRICS), "seconds an image", "parameters")
    return Table(
        ("run", *heads, "model", "training"),
        tuple(
            (Cell(run.name, run=i), *(column[i] for column in columns))
            for i, run in enumerate(runs)
        ),
        "Seconds: reading, predicting and counting, on the device that was used. "
        "The best of each is marked.",
        texts=frozenset({0, 7, 8}),
    )


def run_seconds(rows: Sequence[dict[str, str]]) -> float:
    """Return the seconds of a run: its clock begins anew where it was continued.

    Example:
        >>> run_seconds([{"seconds": "5"}, {"seconds": "9"}, {"seconds": "2"}])
        11.0
    """
    clock = [float(row["seconds"]) for row in rows]
    ends = [now for now, after in itertools.pairwise(clock) if after < now]
    return sum(ends) + (clock[-1] if clock else 0.0)


def facts(runs: Sequence[RunReport]) -> list[tuple[str, str]]:
    """Return what was trained and measured, in words for a list.

    What runs share is said once; models and times of several runs stand in their table.
    """
    first = runs[0].evaluation
    protocol = first.protocol
    where = ", ".join(str(protocol[key]) for key in ("data", "split") if key in protocol)
    said = [
        ("began from", [beginning(run.config) for run in runs]),
        ("trained on", [f"{c.data}, {c.split}" if (c := run.config) else "" for run in runs]),
    ]
    if len(runs) == 1:
        said.insert(0, ("model", [f"{runs[0].model}, {thousands(runs[0].parameters)} parameters"]))
        said.append(("training", [training(runs[0])]))
    number = len(first.scores.classes)
    return [
        *((name, "; ".join(dict.fromkeys(filter(None, texts)))) for name, texts in said
          if any(texts)),
        ("measured on", f"{where or 'the data given'}: {len(first.images)} images"),
        ("images went through", str(protocol.get("images", "whole"))),
        ("classes", f"{first.scores.classes_present} of {number} in the truth"),
    ]  # fmt: skip


def beginning(config: TrainConfig | None) -> str:
    """Return what a training began from, in words."""
    if config is None:
        return ""
    if config.pretrained:
        return "ImageNet weights"
    return "random weights" if config.init_from is None else str(config.init_from)


def training(run: RunReport) -> str:
    """Return a training's steps, images and time; empty where none is known."""
    if run.config is None or not run.rows:
        return ""
    steps = int(run.rows[-1]["step"])
    images = steps * run.config.batch_size * run.config.accumulate
    return f"{steps} steps, {thousands(images)} images, {duration(run_seconds(run.rows))}"


@dataclass(frozen=True)
class ClassRow:
    """One class in the table.

    Attributes:
        name: of the class.
        colour: as on the label maps.
        cells: the IoU of each run.
        ious: the same as numbers.
        accuracy: of the first run.
        share: of all labelled pixels.
    """

    name: str
    colour: str
    cells: tuple[Cell, ...]
    ious: tuple[float, ...]
    accuracy: float
    share: float


def class_rows(runs: Sequence[RunReport]) -> list[ClassRow]:
    """Return the rows of the table of classes, in their order."""
    scores = [run.evaluation.scores for run in runs]
    first = scores[0]
    pixels = first.counts.sum(1).tolist()
    rows = []
    for i, (name, colour) in enumerate(
        zip(first.classes.names, first.classes.palette, strict=True)
    ):
        ious = tuple(s.class_iou[i] for s in scores)
        cells = marked(ious, [percent(iou) for iou in ious])
        share = pixels[i] / max(1, sum(pixels))
        rows.append(ClassRow(name, hexed(colour), cells, ious, first.class_accuracy[i], share))
    return rows


def hexed(colour: tuple[int, int, int]) -> str:
    """Return a colour as style sheets write it."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def differing_settings(runs: Sequence[RunReport]) -> Table | None:
    """Return the settings that differ between the runs; None where none does or can."""
    known = [(i, run, run.config) for i, run in enumerate(runs) if run.config is not None]
    if len(known) < 2:
        return None
    values = [config.model_dump(mode="json") for _, _, config in known]
    names = [
        name
        for name in TrainConfig.model_fields
        if name not in LIKE_NO_OTHER and any(v[name] != values[0][name] for v in values)
    ]
    if not names:
        return None
    return Table(
        ("setting", *(run.name for _, run, _ in known)),
        tuple((Cell(name), *(Cell(plain(own[name])) for own in values)) for name in names),
        texts=frozenset(range(len(known) + 1)),
        runs={column: run for column, (run, _, _) in enumerate(known, start=1)},
    )


def settings(config: TrainConfig) -> list[tuple[str, str, str]]:
    """Return name, value as JSON, and meaning of every setting."""
    values: dict[str, Any] = config.model_dump(mode="json", exclude={"resume"})
    return [
        (name, json.dumps(value), TrainConfig.model_fields[name].description or "")
        for name, value in values.items()
    ]


def plain(value: object) -> str:
    """Return a setting as one would type it.

    Example:
        >>> plain([96, 128]), plain(None), plain({"bins": [1, 2]}), plain(True)
        ('96,128', 'none', 'bins=1,2', 'true')
    """
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return " ".join(f"{key}={plain(own)}" for key, own in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        return ",".join(map(plain, value))
    return str(value)


def listed(words: Iterable[str]) -> str:
    """Return words as a sentence lists them.

    Example:
        >>> listed(["a"]), listed(["a", "b", "c"])
        ('a', 'a, b and c')
    """
    own = list(words)
    return own[0] if len(own) == 1 else f"{', '.join(own[:-1])} and {own[-1]}"
