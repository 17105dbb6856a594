"""Pictures of a swapped context, and of how much each class relies on its context."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from lookwider.classes import Classes, Colour
from lookwider.figures import png
from lookwider.images import displayable

DPI = 130
SHOWN_SIDE = 800
"""Pixels of a map's longer side at most; larger ones are thinned out."""

FAINT = 0.2
"""Total variation up to which the colours span what there is, and not 0 to 1."""

MOST_IN_LEGEND = 24
"""Classes that a swap's legend names, the commonest."""

COLOURS = ("#0b5fa5", "#d55e00", "#8c8c8c", "#009e73")
BEFORE, AFTER = "#222222", "#d55e00"


@dataclass(frozen=True, eq=False)
class SwapPicture:
    """What is drawn of a swap.

    Attributes:
        image: (H, W, C).
        other: the image that the context was taken from, or None.
        before: labels with the image's own context.
        after: labels with the replaced context.
        variation: how far the probabilities moved, 0 to 1.
        replaced_by: what stood in for the context, in words.
    """

    image: npt.NDArray[np.generic]
    other: npt.NDArray[np.generic] | None
    before: npt.NDArray[np.uint8]
    after: npt.NDArray[np.uint8]
    variation: npt.NDArray[np.float32]
    replaced_by: str


def swap_picture(drawn: SwapPicture, classes: Classes, title: str, moves: Sequence[str]) -> bytes:
    """Return a PNG: image, where the context is from, change; labels before, after; a legend."""
    palette = classes.palette_array()
    height, width = drawn.before.shape
    row = 3.2 * min(height / width, 2.0) + 0.3
    figure = Figure(figsize=(10.4, 2 * row + 0.7), dpi=DPI)
    figure.set_layout_engine("constrained")
    figure.suptitle(title, fontsize=11)
    (image, other, change), (before, after, legend) = figure.subplots(2, 3)
    image.imshow(_thinned(displayable(drawn.image)))
    _bare(image, "image")
    if drawn.other is None:
        other.imshow(np.full((height, width, 3), 240, np.uint8))
        words = textwrap.fill(drawn.replaced_by, 24)
        other.text(width / 2, height / 2, words, ha="center", va="center")
    else:
        other.imshow(_thinned(displayable(drawn.other)))
    _bare(other, "context put in its place")
    most = float(drawn.variation.max())
    most = 1.0 if most > FAINT else max(most, 1e-3)  # a faint change would be all black
    shown = change.imshow(_thinned(drawn.variation), cmap="magma", vmin=0, vmax=most)
    _bare(change, "how far the probabilities move")
    figure.colorbar(shown, ax=change, shrink=0.85, ticks=(0, most / 2, most), format="%.2g")
    before.imshow(_thinned(palette[drawn.before]), interpolation="nearest")
    _bare(before, "labels with its own context")
    after.imshow(_thinned(palette[drawn.after]), interpolation="nearest")
    _bare(after, "labels with that context")
    legend.axis("off")
    legend.text(0.0, 1.0, "\n".join(moves), va="top", fontsize=9, transform=legend.transAxes)
    legend.legend(
        handles=[
            Patch(facecolor=_unit(classes.palette[i]), edgecolor="0.5", label=name)
            for i in _commonest(np.r_[drawn.before.ravel(), drawn.after.ravel()])
            for name in (classes.names[i],)
        ],
        loc="lower left",
        ncols=2,
        fontsize=8,
        frameon=False,
        borderaxespad=0.0,
    )
    return png(figure)


@dataclass(frozen=True)
class ClassBars:
    """One replacement's bars.

    Attributes:
        name: of the replacement.
        changed: per class, the share of its pixels that change class; nan without a pixel.
        iou_before: per class, or None without labels.
        iou_after: likewise.
    """

    name: str
    changed: Sequence[float]
    iou_before: Sequence[float] | None
    iou_after: Sequence[float] | None


def reliance_picture(bars: Sequence[ClassBars], classes: Classes, title: str) -> bytes:
    """Return a PNG: per class the share of its pixels that change, and the IoU where known."""
    present = [k for k in range(len(classes)) if not np.isnan(bars[0].changed[k])]
    labelled = bars[0].iou_before is not None
    figure = Figure(
        figsize=(10.5 if labelled else 6.5, 1.8 + 0.12 * len(present) * (1 + len(bars))), dpi=DPI
    )
    figure.set_layout_engine("constrained")
    figure.suptitle(textwrap.fill(title, 110 if labelled else 70), fontsize=10)
    axes = figure.subplots(1, 2 if labelled else 1, sharey=True, squeeze=False)[0]
    rows = np.arange(len(present))
    thickness = 0.8 / len(bars)
    for i, (bar, colour) in enumerate(zip(bars, COLOURS, strict=False)):
        where = rows + (i - (len(bars) - 1) / 2) * thickness
        shares = 100 * np.array([bar.changed[k] for k in present])
        axes[0].barh(where, shares, thickness, color=colour, label=f"{bar.name}")
        if labelled:
            _draw_iou(axes[1], where, bar, present, colour)
    axes[0].set_yticks(rows, [classes.names[k] for k in present], fontsize=9)
    axes[0].set_ylim(len(present) - 0.4, -0.6)
    axes[0].set_xlabel("% of the pixels predicted as the class that change class")
    axes[0].set_xlim(0, 100)
    if labelled:
        axes[1].set_xlabel("IoU in %: ring with its own context, dot with the replaced one")
        axes[1].set_xlim(-2, 102)
    for panel in axes:
        panel.grid(axis="x", color="0.9")
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, fontsize=9, frameon=False)
    return png(figure)


def _draw_iou(
    axes: Axes, where: npt.NDArray[np.floating], bar: ClassBars, present: list[int], colour: str
) -> None:
    assert bar.iou_before is not None
    assert bar.iou_after is not None
    before = 100 * np.array([bar.iou_before[k] for k in present])
    after = 100 * np.array([bar.iou_after[k] for k in present])
    axes.hlines(where, before, after, color=colour, linewidth=1.2)
    axes.plot(before, where, "o", mfc="white", mec=BEFORE, ms=4)
    axes.plot(after, where, "o", color=colour, ms=4)


def _unit(colour: Colour) -> tuple[float, float, float]:
    red, green, blue = colour
    return red / 255, green / 255, blue / 255


def _commonest(labels: npt.NDArray[np.uint8]) -> list[int]:
    """Return the classes with the most pixels, in the order of their ids."""
    counts = np.bincount(labels)
    most = np.argsort(-counts, kind="stable")[:MOST_IN_LEGEND]
    return sorted(int(i) for i in most if counts[i])


def _bare(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=9)
    axes.set_xticks([])
    axes.set_yticks([])


def _thinned(picture: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    step = -(-max(picture.shape[:2]) // SHOWN_SIDE)
    return picture[::step, ::step]
