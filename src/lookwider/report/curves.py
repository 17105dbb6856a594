"""The learning curves of runs as numbers; the template draws them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import MaxNLocator

WIDTH, HEIGHT = 480, 260
"""Of a chart, in the units of its drawing."""

LEFT, RIGHT, TOP, BOTTOM = 50, 14, 12, 42
"""Margins of a chart, where the numbers of its axes stand."""

MOST_DOTS = 30
"""Values up to which each has a dot of its own."""


@dataclass(frozen=True)
class Values:
    """One quantity of a run over its steps.

    Attributes:
        run: number of the run.
        name: of the run.
        steps: in order, at least one.
        values: finite and not negative.
    """

    run: int
    name: str
    steps: Sequence[int]
    values: Sequence[float]


@dataclass(frozen=True)
class Tick:
    """A number on an axis, ``at`` in the units of the drawing."""

    at: float
    text: str


@dataclass(frozen=True)
class Line:
    """The values of a run, laid out: (x, y) of each."""

    run: int
    points: tuple[tuple[float, float], ...]

    @property
    def path(self) -> str:
        """The points as an SVG polyline wants them."""
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in self.points)

    @property
    def dots(self) -> tuple[tuple[float, float], ...]:
        """The points when they are few enough to be marked."""
        return self.points if len(self.points) <= MOST_DOTS else ()


@dataclass(frozen=True)
class Chart:
    """One quantity over the steps of runs, laid out in `WIDTH` x `HEIGHT`.

    Attributes:
        title: what is drawn.
        lines: one a run.
        xs: ticks of the steps.
        ys: ticks of the values.
        description: the same in words, for those who do not see it.
    """

    title: str
    lines: tuple[Line, ...]
    xs: tuple[Tick, ...]
    ys: tuple[Tick, ...]
    description: str


def chart(title: str, series: Sequence[Values], unit: str = "") -> Chart:
    """Lay out values over steps, both axes from 0.

    Args:
        title: what is drawn.
        series: at least one.
        unit: written behind the values in the description; with one, high values are good.

    Example:
        >>> drawn = chart("loss", [Values(0, "a", [10, 20], [3.0, 1.5])])
        >>> drawn.description
        'loss of a: 3 at step 10, 1.5 at step 20; least 1.5 at step 20'
    """
    last = max(run.steps[-1] for run in series)
    highest = max(max(run.values) for run in series)
    ticks = [np.asarray(_locator(n).tick_values(0, v or 1)) for n, v in ((6, last), (5, highest))]
    right, top = max(last, 1), float(ticks[1][-1])

    def x(step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * step / right

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top

    return Chart(
        title,
        tuple(
            Line(run.run, tuple((x(s), y(v)) for s, v in zip(run.steps, run.values, strict=True)))
            for run in series
        ),
        tuple(Tick(x(t), f"{t:g}") for t in ticks[0] if t <= right),
        tuple(Tick(y(t), f"{t:g}") for t in ticks[1]),
        ". ".join(_described(title, run, unit) for run in series),
    )


def _described(title: str, run: Values, unit: str) -> str:
    low, high = int(np.argmin(run.values)), int(np.argmax(run.values))
    word, best = ("highest", high) if unit else ("least", low)
    said = [f"{run.values[i]:.4g}{unit} at step {run.steps[i]}" for i in (0, -1, best)]
    return f"{title} of {run.name}: {said[0]}, {said[1]}; {word} {said[2]}"


def _locator(count: int) -> MaxNLocator:
    return MaxNLocator(count, steps=[1, 2, 2.5, 5, 10])


def values_of(
    run: int, name: str, rows: Sequence[Mapping[str, str]], column: str, factor: float = 1.0
) -> Values | None:
    """Return a column of a run's ``metrics.csv``; None where it holds nothing finite."""
    points = [(int(row["step"]), factor * float(row[column])) for row in rows if row[column]]
    points = [point for point in points if math.isfinite(point[1])]
    if not points:
        return None
    steps, values = zip(*points, strict=True)
    return Values(run, name, steps, values)
