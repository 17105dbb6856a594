"""A picture of what one network mended or broke of another's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lookwider.classes import IGNORE_INDEX, Classes
from lookwider.data.sample import ImageArray, LabelArray
from lookwider.diagnosis.pictures import legend_of, pale, row_height
from lookwider.evaluation.pictures import DPI, ERROR_COLOUR, IGNORED_COLOUR, SHOWN_SIDE
from lookwider.figures import png
from lookwider.images import displayable

MENDED_COLOUR = (30, 150, 70)
BOTH_COLOUR = (245, 175, 60)

MEANINGS = {"mended": MENDED_COLOUR, "broken": ERROR_COLOUR, "both wrong": BOTH_COLOUR}


@dataclass(frozen=True, eq=False)
class ChangeRow:
    """An image with what two networks said of it.

    Attributes:
        caption: a line of text.
        image: (H, W, C).
        label: (H, W) class ids, 255 where ignored.
        first: (H, W) what the first network said.
        second: (H, W) what the second said.
    """

    caption: str
    image: ImageArray
    label: LabelArray
    first: LabelArray
    second: LabelArray


def change_picture(rows: Sequence[ChangeRow], classes: Classes, names: tuple[str, str]) -> bytes:
    """Return a PNG with a row per image: image, truth, both predictions, what changed."""
    height = row_height([row.label for row in rows], 2.6)
    figure = Figure(figsize=(5 * 2.7 + 0.2, len(rows) * height + 1.0), dpi=DPI)
    figure.set_layout_engine("constrained")
    grid = figure.subplots(len(rows), 5, squeeze=False)
    for line, row in zip(grid, rows, strict=True):
        _draw_row(list(line), row, classes)
    titles = ("image", "truth", *names, "what changed")
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=10, fontweight="bold")
    shown = [labels for row in rows for labels in (row.label, row.first, row.second)]
    figure.legend(
        handles=legend_of(shown, classes, MEANINGS),
        loc="outside lower center",
        ncols=9,
        fontsize=8,
        frameon=False,
    )
    return png(figure)


def changes(row: ChangeRow) -> npt.NDArray[np.uint8]:
    """Return the image in pale grey: mended pixels green, broken red, wrong in both amber."""
    labelled = row.label != IGNORE_INDEX
    first, second = labelled & (row.first != row.label), labelled & (row.second != row.label)
    picture = pale(displayable(row.image))
    picture[first & second] = BOTH_COLOUR
    picture[first & ~second] = MENDED_COLOUR
    picture[~first & second] = ERROR_COLOUR
    picture[~labelled] = IGNORED_COLOUR
    return picture


def _draw_row(line: list[Axes], row: ChangeRow, classes: Classes) -> None:
    palette = classes.palette_array()
    palette[IGNORE_INDEX] = IGNORED_COLOUR
    pictures = (
        displayable(row.image),
        palette[row.label],
        palette[row.first],
        palette[row.second],
        changes(row),
    )
    step = -(-max(row.label.shape) // SHOWN_SIDE)
    for axes, picture in zip(line, pictures, strict=True):
        axes.imshow(picture[::step, ::step], interpolation="nearest")
        axes.set_xticks([])
        axes.set_yticks([])
    line[0].set_xlabel(row.caption, fontsize=9, loc="left")
