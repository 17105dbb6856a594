"""One page about one run or several: self-contained, nothing is fetched."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lookwider.classes import Classes
from lookwider.errors import ConfigError, DataError
from lookwider.report import confusion
from lookwider.report.curves import Chart, Values, chart, values_of
from lookwider.report.parts import Breakdown, Command, Gallery, Section
from lookwider.report.pictures import address, fewer_colours, pictures, size_of
from lookwider.report.run_report import RunReport
from lookwider.report.tables import (
    METRICS,
    class_rows,
    differing_settings,
    facts,
    hexed,
    listed,
    percent,
    settings,
    summary_table,
    thousands,
)

TEMPLATE, SCRIPT = "page.html.j2", "page.js"

COLOURS = 8
"""Colours of runs; further runs begin again with the first."""


def render(
    runs: Sequence[RunReport],
    *,
    title: str,
    lead: Sequence[str] = (),
    galleries: Sequence[Gallery] = (),
    breakdown: Breakdown | None = None,
    commands: Sequence[Command] = (),
    sections: Sequence[Section] = (),
) -> str:
    """Return the page of runs as HTML: every number on it is a run's or its evaluation's.

    It holds the metrics, the galleries, the learning curves, each class, the confusion of
    classes, the sections given, commands, and the complete settings.

    Args:
        runs: one or several, measured on the same images.
        title: of the page.
        lead: paragraphs beneath it.
        galleries: images; the first one stands at the top.
        breakdown: the results by groups of pixels.
        commands: to go on with.
        sections: what the instruments found; see `lookwider.report.sections`.

    Raises:
        ConfigError: there is no run.
        DataError: the runs tell other classes apart or were measured on other images.
    """
    check_comparable(runs)
    environment = _environment()
    script = environment.loader.get_source(environment, SCRIPT)[0] if environment.loader else ""
    classes = runs[0].evaluation.scores.classes
    names = [run.name for run in runs]
    counts = tuple(run.evaluation.scores.counts.numpy() for run in runs)
    shown = [
        (gallery, [(own, pictures(own, names, classes)) for own in gallery.shown])
        for gallery in galleries
    ]
    return environment.get_template(TEMPLATE).render(
        title=title,
        lead=lead,
        findings=findings(runs),
        runs=runs,
        script=Markup(script),  # ours: it is no text of anybody else's
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        heads=[(name, getattr(runs[0].evaluation.scores, key)) for name, key in METRICS.items()],
        summary=summary_table(runs),
        facts=facts(runs),
        classes=class_rows(runs),
        mean_ious=[run.evaluation.mean_iou for run in runs],
        mean_accuracy=runs[0].evaluation.scores.mean_accuracy,
        galleries=shown,
        legend=legend(galleries, classes),
        curves=learning_curves(runs),
        breakdown=breakdown,
        heats=heat_maps(counts, classes),
        cell=confusion.CELL,
        mistakes=confusion.mistakes(counts, classes),
        sections=sections,
        commands=commands,
        differing=differing_settings(runs),
        settings=next(((r.name, settings(r.config)) for r in runs if r.config), None),
        protocols=[_protocol(run) for run in runs],
        missing=[(run.name, *item) for run in runs for item in run.missing.items()],
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("lookwider.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    environment.filters["thousands"] = thousands
    environment.filters["address"] = address
    environment.filters["fewer_colours"] = fewer_colours
    environment.filters["size_of"] = size_of
    environment.filters["colour"] = lambda run: f"run{run % COLOURS + 1}"
    return environment


def check_comparable(runs: Sequence[RunReport]) -> None:
    """Raise unless there is a run and all have the classes and images of the first."""
    if not runs:
        raise ConfigError("got no run to report on, expected at least one")
    first = runs[0]
    for run in runs[1:]:
        own, theirs = (r.evaluation.scores.classes.names for r in (first, run))
        if own != theirs:
            raise DataError(
                f"{run.name} tells {len(theirs)} classes apart ({', '.join(theirs[:3])}, ...) and "
                f"{first.name} {len(own)} ({', '.join(own[:3])}, ...); expected the same: report "
                "on them one by one"
            )
        if [i.name for i in run.evaluation.images] != [i.name for i in first.evaluation.images]:
            raise DataError(
                f"{run.name} and {first.name} were measured on other images, expected the same: "
                "evaluate both on the same data and split"
            )


def findings(runs: Sequence[RunReport]) -> tuple[str, ...]:
    """Return what several runs show, in sentences; nothing of a single one."""
    if len(runs) < 2:
        return ()
    ranked = sorted(runs, key=lambda run: -run.evaluation.mean_iou)
    best, worst = ranked[0], ranked[-1]
    gap = best.evaluation.mean_iou - worst.evaluation.mean_iou
    others = listed(f"{run.name} {percent(run.evaluation.mean_iou)}" for run in ranked[1:])
    first = (
        f"{best.name} has the highest mean IoU, {percent(best.evaluation.mean_iou)} %, before "
        f"{others}; {100 * gap:.1f} points lie between the first and the last."
    )
    return (
        first,
        "Each is one run: how much of a difference is chance cannot be told from this page. "
        "“lookwider ablate” trains several seeds.",
    )


def learning_curves(runs: Sequence[RunReport]) -> list[Chart]:
    """Return the charts of the loss and of the validation's mean IoU, where there are any.

    Losses that are sums and losses that are means stand in charts of their own.
    """
    drawn = []
    for reduction, title in (("mean", "training loss"), ("batch", "training loss, summed")):
        own = [
            values
            for i, run in enumerate(runs)
            if run.config is not None
            and run.config.reduction == reduction
            and (values := values_of(i, run.name, run.rows, "loss"))
        ]
        if own:
            drawn.append(chart(title, own))
    validated: list[Values] = [
        values
        for i, run in enumerate(runs)
        if (values := values_of(i, run.name, run.rows, "val_mean_iou", 100))
    ]
    if validated:
        drawn.append(chart("mean IoU of the validation, %", validated, " %"))
    return drawn


def heat_maps(counts: tuple[Any, ...], classes: Classes) -> list[confusion.HeatMap]:
    """Return the confusion of each run, over the same classes."""
    drawn = confusion.drawn_classes(sum(counts[1:], counts[0]))
    return [confusion.heat_map(own, classes, drawn) for own in counts]


def legend(galleries: Sequence[Gallery], classes: Classes) -> list[tuple[str, str]]:
    """Return name and colour of the classes that the galleries show."""
    maps = [part for g in galleries for own in g.shown for part in (own.label, *own.predictions)]
    shown = sorted({int(i) for part in maps for i in set(part.ravel().tolist())})
    return [(classes.names[i], hexed(classes.palette[i])) for i in shown if i < len(classes)]


def _protocol(run: RunReport) -> str:
    return json.dumps(run.evaluation.to_json()["protocol"], indent=1, default=str)
