"""The picture of feature scales: a distribution per layer on one logarithmic axis."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, NullFormatter

from lookwider.figures import png
from lookwider.probes.scales.points import Point, Stage
from lookwider.probes.scales.statistics import BINS_PER_DECADE, EDGES, LOW, Norms

DPI = 130
COLOURS: dict[Stage, str] = {
    "output": "#7f7f7f",
    "input": "#d55e00",
    "normalised": "#56b4e9",
    "scaled": "#0b5fa5",
}
WORDS: dict[Stage, str] = {
    "output": "output of a layer",
    "input": "before normalisation or fusion",
    "normalised": "after L2 normalisation",
    "scaled": "after the learned scale",
}
MOST_HEIGHT = 0.42
"""Half the height of a distribution, in rows."""

MOST_FINE = 1000.0
"""Ratio of the ends of the axis up to which 2 and 5 are marked too."""

CENTRES = np.sqrt(EDGES[1:] * EDGES[:-1])


def scales_picture(
    norms: Mapping[Point, Norms], learned: Mapping[str, npt.NDArray[np.float64]], title: str
) -> bytes:
    """Return a PNG: a row per place, its norms' distribution, median and middle 90 per cent.

    Args:
        norms: what was found at each place.
        learned: learned scales by layer, drawn beside where there are any.
        title: of the picture.
    """
    figure = Figure(figsize=(10.0, 1.9 + 0.42 * len(norms)), dpi=DPI)
    figure.set_layout_engine("constrained")
    figure.suptitle(title, fontsize=11)
    widths = {"width_ratios": [3, 1]} if learned else {}
    axes = figure.subplots(1, 2 if learned else 1, squeeze=False, gridspec_kw=widths)[0]
    for row, (point, found) in enumerate(norms.items()):
        _draw(axes[0], row, found, COLOURS[point.stage])
    axes[0].set_xscale("log")
    low, high = _limits(norms)
    axes[0].set_xlim(low, high)
    subs = (1.0, 2.0, 5.0) if high < MOST_FINE * low else (1.0,)
    axes[0].xaxis.set_major_locator(LogLocator(subs=subs, numticks=20))
    axes[0].xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes[0].xaxis.set_minor_formatter(NullFormatter())
    axes[0].set_yticks(
        range(len(norms)), [f"{point.short}, {point.words}" for point in norms], fontsize=8
    )
    axes[0].set_ylim(len(norms) - 0.4, -0.6)
    axes[0].set_xlabel("L2 norm of a place's features; line: median, bar: middle 90 %")
    axes[0].grid(axis="x", color="0.9")
    axes[0].set_axisbelow(True)
    axes[0].spines[["top", "right"]].set_visible(False)
    if learned:
        _draw_learned(axes[1], learned, {point.layer: point.short for point in norms})
    stages = dict.fromkeys(point.stage for point in norms)
    figure.legend(
        handles=[Patch(facecolor=COLOURS[stage], label=WORDS[stage]) for stage in stages],
        loc="outside lower center",
        ncols=4,
        fontsize=9,
        frameon=False,
    )
    return png(figure)


def _draw(axes: Axes, row: int, norms: Norms, colour: str) -> None:
    inner = norms.histogram[1:-1]
    if inner.any():
        heights = MOST_HEIGHT * inner / inner.max()
        axes.fill_between(CENTRES, row - heights, row + heights, color=colour, alpha=0.55, lw=0)
    low, middle, high = (max(norms.quantile(q), 10.0**LOW) for q in (0.05, 0.5, 0.95))
    axes.plot([low, high], [row, row], color=colour, lw=2, solid_capstyle="butt")
    axes.plot([middle, middle], [row - 0.3, row + 0.3], color="black", lw=1.5)
    axes.annotate(
        f"{middle:.3g}",
        (middle, row - 0.3),
        (0, 1),
        textcoords="offset points",
        fontsize=7,
        ha="center",
        va="bottom",
    )


def _draw_learned(
    axes: Axes, learned: Mapping[str, npt.NDArray[np.float64]], short: Mapping[str, str]
) -> None:
    for row, values in enumerate(learned.values()):
        # a fixed, even spread of the dots within their row
        shifts = np.linspace(-0.3, 0.3, len(values)) if len(values) > 1 else np.zeros(1)
        axes.plot(values, row + shifts, ".", ms=2.5, color=COLOURS["scaled"], alpha=0.6)
        axes.plot([values.mean()] * 2, [row - 0.36, row + 0.36], color="black", lw=1.5)
    axes.set_yticks(range(len(learned)), [short.get(name, name) for name in learned], fontsize=8)
    axes.yaxis.tick_right()
    axes.set_ylim(len(learned) - 0.4, -0.6)
    axes.set_xlabel("learned scales; line: mean")
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)


def _limits(norms: Mapping[Point, Norms]) -> tuple[float, float]:
    """Return the powers of ten that hold the middle of every distribution."""
    floor = 10.0**LOW
    low = min(max(found.quantile(0.005), floor) for found in norms.values())
    high = max(max(found.most, floor) for found in norms.values())
    step = 10 ** (5 / BINS_PER_DECADE)
    return low / step, high * step
