"""The picture of a measurement: every stage in both forms, with the floor."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lookwider.bench.result import BenchResult, Comparison
from lookwider.bench.timing import Timing
from lookwider.figures import png

FAST, PLAIN, FLOOR = "#0b5fa5", "#b8b8b8", "#d55e00"
BAR = 0.36


def plot(result: BenchResult) -> bytes:
    """Return a PNG: a pair of bars per piece of work, and where the machine's limit is."""
    comparisons = result.comparisons
    figure = Figure(figsize=(7.4, 1.6 + 0.55 * len(comparisons)), dpi=130)
    figure.set_layout_engine("constrained")
    axes = figure.subplots()
    draw(axes, comparisons)
    axes.set_title(result.title, fontsize=9)
    return png(figure)


def draw(axes: Axes, comparisons: Sequence[Comparison]) -> None:
    """Draw the bars from top to bottom, with the spread of the rounds as a line."""
    for index, comparison in enumerate(comparisons):
        for shift, timing, colour, name in (
            (-BAR / 2, comparison.plain, PLAIN, "plain PyTorch"),
            (BAR / 2, comparison.fast, FAST, "lookwider"),
        ):
            label = name if index == 0 else None
            axes.barh(index + shift, 1000 * timing.median, BAR, color=colour, label=label)
            least, most = _extremes(timing)
            axes.plot([1000 * least, 1000 * most], [index + shift] * 2, color="0.2", lw=1)
        if comparison.floor is not None:
            axes.plot(
                [1000 * comparison.floor] * 2, [index - BAR, index + BAR], color=FLOOR, lw=2,
                label="floor" if index == 0 else None,
            )  # fmt: skip
        widest = max(_extremes(comparison.fast)[1], _extremes(comparison.plain)[1])
        axes.annotate(
            f"{comparison.fast.ratio(comparison.plain)[0]:.2f} x", (1000 * widest, index), (4, 0),
            textcoords="offset points", va="center", fontsize=7,
        )  # fmt: skip
    axes.set_yticks(range(len(comparisons)), [comparison.work for comparison in comparisons])
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.set_xlabel("ms, median of the rounds; the line is from the least to the most", fontsize=8)
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False, loc="lower right")


def _extremes(timing: Timing) -> tuple[float, float]:
    return min(timing.seconds), max(timing.seconds)
