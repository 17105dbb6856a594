"""The picture of a table: every row's mean and spread, and the paper's numbers beside."""

from __future__ import annotations

import math
import textwrap

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lookwider.ablation.published import MARKS, MEANINGS
from lookwider.ablation.result import AblationResult
from lookwider.figures import png

DPI = 130
OURS, PAPER = "#0b5fa5", "#6b6b6b"
LEAST_SPAN = 4.0
"""Points that an axis shows at least, so that next to nothing does not look like much."""

KIND_COLOURS = ("#d55e00", "#009e73", "#cc79a7", "#8c8c8c")
KIND_MARKERS = ("o", "s", "^", "x")


def plot(result: AblationResult) -> bytes:
    """Return a PNG: rows from top to bottom; here, by kind of failure where known, the paper."""
    rows = result.plan.table.rows
    panels = 3 if result.kinds else 2
    figure = Figure(figsize=(2.4 + 3.3 * panels, 1.9 + 0.42 * len(rows)), dpi=DPI)
    figure.set_layout_engine("constrained")
    axes = figure.subplots(1, panels, sharey=True, squeeze=False)[0]
    _draw_ours(axes[0], result)
    if result.kinds:
        _draw_kinds(axes[1], result)
        handles, names = axes[1].get_legend_handles_labels()
        figure.legend(
            handles, names, loc="outside lower center", ncols=4, fontsize=8, frameon=False
        )
    _draw_paper(axes[-1], result)
    axes[0].set_yticks(range(len(rows)), [textwrap.fill(row.label, 30) for row in rows])
    axes[0].set_ylim(len(rows) - 0.5, -0.5)
    for panel in axes:
        panel.grid(axis="x", color="0.9")
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(axis="y", length=0)
        _widen(panel)
    figure.suptitle(f"{result.plan.table.title}\n{result.plan.table.source}", fontsize=10)
    return png(figure)


def _draw_ours(axes: Axes, result: AblationResult) -> None:
    """Draw each row's mean with its deviation, and the seeds as small dots."""
    plan = result.plan
    for position, row in enumerate(plan.table.rows):
        spread = result.metric(row, "mean_iou")
        if math.isnan(spread.mean):
            failed = any(run.error is not None for run in result.runs(row))
            _say(axes, position, "failed" if failed else "not run yet")
            continue
        deviation = 0.0 if math.isnan(spread.deviation) else 100 * spread.deviation
        axes.errorbar(100 * spread.mean, position, xerr=deviation, color=OURS, fmt="o", capsize=3)
        values = [100 * value for value in spread.values]
        axes.plot(values, [position + 0.22] * len(values), ".", color=OURS, alpha=0.5, ms=4)
        _number(axes, 100 * spread.mean, position, f"{100 * spread.mean:.1f}", OURS)
    seeds = f"± deviation of {plan.seeds} seeds" if plan.seeds > 1 else "one seed"
    _title(
        axes,
        textwrap.fill(f"measured: {plan.data}, {plan.split}", 40),
        f"mean IoU in %, {seeds}",
    )


def _draw_kinds(axes: Axes, result: AblationResult) -> None:
    """Draw the share of right pixels by kind of failure, a little apart."""
    for index, kind in enumerate(result.kinds):
        shift = 0.16 * (index - (len(result.kinds) - 1) / 2)
        spreads = [result.failure(row, kind) for row in result.plan.table.rows]
        colour = KIND_COLOURS[index % len(KIND_COLOURS)]
        means = [100 * spread.mean for spread in spreads]
        places = [position + shift for position in range(len(spreads))]
        deviations = [100 * (0 if math.isnan(s.deviation) else s.deviation) for s in spreads]
        axes.errorbar(means, places, xerr=deviations, color=colour, fmt="none", capsize=2)
        marker = KIND_MARKERS[index % len(KIND_MARKERS)]
        axes.plot(means, places, marker, color=colour, ms=4, label=kind)
    _title(axes, "measured, by kind of failure", "right pixels in % of those that probe it")


def _draw_paper(axes: Axes, result: AblationResult) -> None:
    """Draw the paper's numbers; open circles are those that were not read in it."""
    for position, row in enumerate(result.plan.table.rows):
        published = row.published
        if published.mean_iou is None:
            _say(axes, position, published.shown("mean_iou") if published.remark else "no number")
            continue
        filled = not MARKS[published.source]
        axes.plot(published.mean_iou, position, "D", color=PAPER, mfc=PAPER if filled else "white")
        _number(axes, published.mean_iou, position, published.shown("mean_iou"), PAPER)
    sources = {row.published.source for row in result.plan.table.rows}
    marks = [f"{MARKS[source]} {MEANINGS[source]}" for source in MEANINGS if source in sources]
    about = [result.plan.table.published_on, *marks]
    _title(
        axes,
        "published, on other data:\ncompare the order only",
        "\n".join(["mean IoU in %", *(textwrap.fill(line, 42) for line in about)]),
    )


def _widen(axes: Axes) -> None:
    """Leave room for the numbers at both sides, and never spread less than a few points."""
    low, high = axes.dataLim.intervalx
    if high < low:  # nothing was drawn
        return
    margin = max(LEAST_SPAN - (high - low), 0.36 * (high - low)) / 2
    axes.set_xlim(low - margin, high + margin)


def _title(axes: Axes, title: str, label: str) -> None:
    axes.set_title(title, fontsize=9)
    axes.set_xlabel(label, fontsize=8)


def _number(axes: Axes, x: float, y: float, text: str, colour: str) -> None:
    axes.annotate(
        text, (x, y), (0, 5), textcoords="offset points", ha="center", fontsize=7, color=colour
    )


def _say(axes: Axes, position: float, text: str) -> None:
    """Write words in the middle of a row without a point."""
    axes.text(
        0.5, position, text, transform=axes.get_yaxis_transform(), ha="center", va="center",
        fontsize=7, color="0.5",
    )  # fmt: skip
