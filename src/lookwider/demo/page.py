"""The demo's report: what to make of its result, in words."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from lookwider.data import SceneDataset
from lookwider.demo.exhibits import SWAPPED
from lookwider.probes.swap import ContextSwap
from lookwider.report.chosen import PER_GALLERY, chosen_galleries
from lookwider.report.failures import EXPLANATIONS, FailureScore
from lookwider.report.page import render
from lookwider.report.parts import (
    Breakdown,
    BreakdownRow,
    Command,
    Drawing,
    Drawings,
    Gallery,
    Section,
    Shown,
)
from lookwider.report.run_report import RunReport
from lookwider.report.sections import instrument_sections
from lookwider.report.tables import listed

WHOLE_FIELD, CUT_FIELD = 435, 99
"""Pixels a side that the last map of a ResNet-18 sees, and its map of stride 8."""


def demo_page(
    runs: Sequence[RunReport],
    test: SceneDataset,
    failures: Sequence[Sequence[FailureScore]],
    scenes: tuple[Shown, ...],
    swap: ContextSwap | None,
) -> str:
    """Return the demo's report.

    Args:
        runs: the demo's, measured on the test scenes.
        test: these.
        failures: each run's pixels by kind of failure.
        scenes: pairs of scenes to begin with.
        swap: what another scene's context does.
    """
    sections = instrument_sections(runs)
    return render(
        runs,
        title=f"lookwider demo: {listed([run.name for run in runs])} on the built-in scenes",
        lead=(
            "Each network began from random weights, saw a few thousand made-up pictures, and was "
            "then measured on pictures that it had never seen. The pictures ask for context: what "
            "a thing is cannot be told from its looks alone.",
            *_how_far(runs, test.size),
        ),
        galleries=(
            Gallery(
                "Scenes, and what becomes of them",
                "The first two hold the same blobs, once on a lake and once on a road; the next "
                "two the same facades, once in a street and once in a skyline.",
                scenes,
            ),
            *chosen_galleries(runs, test, PER_GALLERY),
        ),
        breakdown=failure_breakdown(failures),
        commands=commands(runs, test),
        sections=sections if swap is None else (swap_section(swap), *sections),
    )


def _how_far(runs: Sequence[RunReport], size: tuple[int, int]) -> tuple[str, ...]:
    """Say what the systems see of a picture by their layers alone."""
    names = [run.name for run in runs if run.reliance]
    if not names:
        return ()
    plain = [run.name for run in runs if not run.reliance]
    whole = (
        f"{listed(plain)} has a whole ResNet-18, whose last map sees {WHOLE_FIELD} pixels a side. "
        if plain
        else ""
    )
    have = "have" if len(names) > 1 else "has"
    return (
        f"The pictures are {size[0]} x {size[1]}. {whole}{listed(names)} {have} the first half of "
        f"a ResNet-18, which sees {CUT_FIELD} pixels a side; what else there is to know of the "
        "picture, the averages tell.",
    )


def swap_section(swap: ContextSwap) -> Section:
    """Return the section of a road in a lake's context."""
    own, other = SWAPPED
    return Section(
        "swap",
        f"A {own} in a {other}'s context",
        (
            f"The features of the {own} stay as they are. Only what {swap.network} knows of the "
            f"whole picture is replaced, by what it knows of a {other} with the same blobs: "
            f"{swap.summary()}.",
        ),
        (
            Drawings(
                (Drawing(swap.picture(), f"the {own} before and after: {_moved(swap)}"),),
                wide=True,
            ),
        ),
    )


def _moved(swap: ContextSwap) -> str:
    moves = [f"{move.before} became {move.after}" for move in swap.largest(4)]
    return listed(moves) if moves else "nothing changed"


def failure_breakdown(failures: Sequence[Sequence[FailureScore]]) -> Breakdown:
    """Return the section of the three kinds of failure.

    Args:
        failures: of each run, the same kinds in the same order.
    """
    return Breakdown(
        title="By what the pixels ask for",
        lead="Scene parsing fails without context in three ways (Zhao et al. 2017, section 3.1), "
        "and every scene has pixels that probe them. They are right, or taken for their "
        "look-alike, such as a boat for a car, or for something else:",
        parts=("right", "look-alike", "other"),
        rows=tuple(
            BreakdownRow(
                kind[0].name,
                EXPLANATIONS.get(kind[0].kind, "For comparison: these ask for no wider context."),
                kind[0].pixels,
                tuple((own.accuracy, own.alike_share, own.other_share) for own in kind),
            )
            for kind in zip(*failures, strict=True)
        ),
        closing=(
            "A look-alike is what a lack of context gives. The rest is mostly a matter of size: "
            "the finest map has one cell for 8 x 8 pixels, which all but loses a thin pole. And "
            "these are a few minutes of training from nothing and one seed each, not the most that "
            "a system can do: lookwider ablate systems trains several seeds.",
        ),
    )


def commands(runs: Sequence[RunReport], test: SceneDataset) -> tuple[Command, ...]:
    """Return what to do next, from one's own data to a larger demo."""
    best = max(runs, key=lambda run: run.evaluation.mean_iou)
    folder = shlex.quote(str(best.folder))
    assert best.config is not None
    height, width = test.size
    larger = f"{2 * height}x{2 * width}"
    return (
        Command("Look at your own folder of images and labels:", "lookwider data check PATH"),
        Command("Train on it:", f"lookwider train {best.config.model} data=PATH out=runs/first"),
        Command("Compare your runs as this page does:",
                "lookwider report runs/first runs/second data=PATH split=test"),
        Command("Segment images with the best of this demo's networks:",
                f"lookwider predict {folder} FILES_OR_FOLDER --out predictions"),
        Command("See how far it looks:",
                f"lookwider probe field {folder} IMAGE --at 48,64"),
        Command("The same scenes with four times the pixels, in about four times the time:",
                f"lookwider demo --size {larger} --out demo-{larger}"),
    )  # fmt: skip
