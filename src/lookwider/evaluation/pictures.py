"""Pictures of an evaluation: who is taken for whom, and the images that went worst."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from lookwider.classes import IGNORE_INDEX, Classes
from lookwider.figures import png
from lookwider.images import displayable

DPI = 130
MOST_WITH_NUMBERS = 24
"""Classes up to which each cell of the confusion picture shows its number."""

SHOWN_SIDE = 640
"""Pixels of an example's longer side at most; larger ones are thinned out."""

ERROR_COLOUR = (214, 39, 40)
IGNORED_COLOUR = (255, 255, 255)


@dataclass(frozen=True, eq=False)
class Example:
    """An image with what was there and what was predicted.

    Attributes:
        caption: a line of text.
        image: (H, W, C).
        label: (H, W) class ids, 255 where ignored.
        prediction: (H, W) class ids.
    """

    caption: str
    image: npt.NDArray[np.generic]
    label: npt.NDArray[np.uint8]
    prediction: npt.NDArray[np.uint8]


def confusion_picture(counts: npt.NDArray[np.int64], classes: Classes, *, note: str = "") -> bytes:
    """Return a PNG of the counts, each row in per cent of the class's pixels.

    Args:
        counts: (K, K) ``[truth, prediction]``; the row of a class without a pixel stays grey.
        classes: their names.
        note: small print at the top, such as how it was measured.
    """
    number = len(classes)
    totals = counts.sum(1, keepdims=True)
    shares = np.where(totals > 0, 100 * counts / np.maximum(totals, 1), np.nan)
    side = float(np.clip(0.42 * number, 3.0, 20.0))
    font = float(np.clip(0.8 * 72 * side / number, 4, 9))
    figure = Figure(figsize=(side, side), dpi=DPI)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_facecolor("0.88")
    drawn = axes.imshow(np.ma.masked_invalid(shares), cmap="Blues", vmin=0, vmax=100)
    axes.set_xticks(range(number), classes.names, rotation=90, fontsize=font)
    axes.set_yticks(range(number), classes.names, fontsize=font)
    axes.set_xlabel("predicted")
    axes.set_ylabel("truth")
    axes.set_title("Pixels of each class by what they were predicted as", fontsize=10)
    if note:  # above the title, which is a quarter of an inch high
        above = textwrap.fill(note, max(64, round(16 * side)))
        figure.text(0.0, 1.0 + 0.32 / side, above, fontsize=7, va="bottom")
    beside = figure.add_axes((1.0 + 0.3 / side, 0.0, 0.15 / side, 1.0))
    figure.colorbar(drawn, cax=beside, label="% of the class's pixels")
    if number <= MOST_WITH_NUMBERS:
        for row, col in zip(*np.nonzero(np.nan_to_num(shares) >= 0.5), strict=True):
            share = shares[row, col]
            colour = "white" if share > 55 else "black"
            axes.text(
                col, row, f"{share:.0f}", ha="center", va="center", fontsize=font - 2, color=colour
            )
    return png(figure)


def worst_picture(examples: Sequence[Example], classes: Classes, *, note: str = "") -> bytes:
    """Return a PNG with a row per example: image, truth, prediction, errors; and a legend.

    ``note`` is small print at the top, such as how the predictions were made.
    """
    thinned = [_thinned(example) for example in examples]
    height, width = np.max([example.label.shape for example in thinned], axis=0)
    row = 3.1 * min(height / width, 2.0) + 0.25
    figure = Figure(figsize=(4 * 3.2 + 0.2, len(thinned) * row + 1.2), dpi=DPI)
    figure.set_layout_engine("constrained")
    if note:
        figure.suptitle(textwrap.fill(note, 170), fontsize=8, x=0.005, ha="left")
    grid = figure.subplots(len(thinned), 4, squeeze=False)
    for line, example in zip(grid, thinned, strict=True):
        _draw_example(list(line), example, classes)
    for axes, title in zip(grid[0], ("image", "truth", "prediction", "errors"), strict=True):
        axes.text(
            0.5,
            1.0,
            title,
            transform=axes.transAxes,
            ha="center",
            va="bottom",
            fontsize=10,
            fontweight="bold",
        )
    shown = np.unique(
        np.concatenate([np.r_[e.label.ravel(), e.prediction.ravel()] for e in thinned])
    )
    names = [(classes.names[i], classes.palette[i]) for i in shown if i < len(classes)]
    names += [("wrong", ERROR_COLOUR), ("ignored", IGNORED_COLOUR)]
    figure.legend(
        handles=[
            Patch(facecolor=_unit(colour), edgecolor="0.5", linewidth=0.5, label=name)
            for name, colour in names
        ],
        loc="outside lower center",
        ncols=min(8, len(names)),
        fontsize=8,
        frameon=False,
    )
    return png(figure)


def _draw_example(line: list[Axes], example: Example, classes: Classes) -> None:
    palette = classes.palette_array()
    palette[IGNORE_INDEX] = IGNORED_COLOUR
    image = displayable(example.image)
    for axes, picture in zip(
        line,
        (image, palette[example.label], palette[example.prediction], errors(example)),
        strict=True,
    ):
        axes.imshow(picture, interpolation="nearest")
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set_color("0.6")
    line[0].set_xlabel(example.caption, fontsize=8, loc="left")


def errors(example: Example) -> npt.NDArray[np.uint8]:
    """Return the image in pale grey, its wrong pixels red and its ignored ones white."""
    grey = displayable(example.image).mean(2, keepdims=True).repeat(3, 2)
    picture: npt.NDArray[np.uint8] = (150 + grey * (105 / 255)).astype(np.uint8)
    ignored = example.label == IGNORE_INDEX
    picture[(example.label != example.prediction) & ~ignored] = ERROR_COLOUR
    picture[ignored] = IGNORED_COLOUR
    return picture


def _thinned(example: Example) -> Example:
    step = -(-max(example.label.shape) // SHOWN_SIDE)
    pick = (slice(None, None, step), slice(None, None, step))
    return Example(
        example.caption, example.image[pick], example.label[pick], example.prediction[pick]
    )


def _unit(colour: tuple[int, int, int]) -> tuple[float, float, float]:
    red, green, blue = colour
    return red / 255, green / 255, blue / 255
