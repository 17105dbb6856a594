"""The page of ``lookwider demo``: what to make of its result, in words."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from lookwider.evaluation import Evaluation
from lookwider.evaluation.pictures import Example
from lookwider.report.failures import EXPLANATIONS, FailureScore
from lookwider.report.page import render
from lookwider.report.parts import Breakdown, BreakdownRow, Command, Gallery
from lookwider.training.config import TrainConfig

RECEPTIVE_FIELD = 435
"""Pixels that the last map of a ResNet-18 sees, a side."""


def demo_page(
    config: TrainConfig,
    size: tuple[int, int],
    result: Evaluation,
    failures: Sequence[FailureScore],
    examples: tuple[Example, ...],
) -> str:
    """Return the demo's report."""
    return render(
        config.out,
        result,
        title="lookwider demo: FCN-8s on the built-in scenes",
        lead=(
            "A network began from random weights, saw a few thousand made-up pictures, and was "
            "then measured on pictures that it had never seen. The pictures ask for context: "
            "what a thing is cannot be told from its looks alone.",
        ),
        galleries=(
            Gallery(
                "Scenes, and what it makes of them",
                "The first two hold the same blobs, once on a lake and once on a road; the next "
                "two the same facades, once in a street and once in a skyline.",
                examples,
            ),
        ),
        breakdown=failure_breakdown(failures, size),
        commands=commands(config, size),
    )


def failure_breakdown(failures: Sequence[FailureScore], size: tuple[int, int]) -> Breakdown:
    """Return the section of the three kinds of failure, in scenes of this (height, width)."""
    height, width = size
    return Breakdown(
        title="By kind of failure",
        lead="Scene parsing fails without context in three ways (Zhao et al. 2017, section 3.1), "
        "and every scene has pixels that probe them. They are right, or taken for their "
        "look-alike, such as a boat for a car, or for something else:",
        parts=("right", "look-alike", "other"),
        rows=tuple(
            BreakdownRow(
                score.name,
                EXPLANATIONS.get(score.kind, "For comparison: these ask for no wider context."),
                score.pixels,
                (score.accuracy, score.alike_share, score.other_share),
            )
            for score in failures
        ),
        closing=(
            "A look-alike is what a lack of context gives. FCN has no part that looks at the whole "
            "picture: a pixel is decided by what its receptive field brings. That of this "
            f"ResNet-18 spans {RECEPTIVE_FIELD} pixels and the pictures are {height} x {width}, "
            "so a low share here does not show that FCN can do without more context where the "
            "pictures are larger than what it sees.",
            "The rest is mostly a matter of size: the finest map has one cell for 8 x 8 pixels, "
            "which all but loses a thin pole. And these are a few minutes of training "
            "from nothing, not the most that FCN can do.",
        ),
    )


def commands(config: TrainConfig, size: tuple[int, int]) -> tuple[Command, ...]:
    """Return what to do next, from one's own data to a larger demo."""
    run = shlex.quote(str(config.out))
    larger = f"{2 * size[0]}x{2 * size[1]}"
    return (
        Command("Look at your own folder of images and labels:", "lookwider data check PATH"),
        Command("Train on it:", "lookwider train fcn8s data=PATH out=runs/first"),
        Command("Measure that run:", "lookwider evaluate runs/first data=PATH split=test"),
        Command("Segment images with this demo's network:",
                f"lookwider predict {run} FILES_OR_FOLDER --out predictions"),
        Command("Measure this demo again:",
                f"lookwider evaluate {run} data={config.data} split=test"),
        Command("The same scenes with four times the pixels, in about four times the time:",
                f"lookwider demo --size {larger} --out demo-{larger}"),
    )  # fmt: skip
