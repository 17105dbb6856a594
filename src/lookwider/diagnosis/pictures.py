"""Pictures of a diagnosis: objects that failed, and how recall falls with size and contrast."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from lookwider.classes import IGNORE_INDEX, Classes, Colour
from lookwider.data.sample import ImageArray, LabelArray
from lookwider.diagnosis.curves import RecallCurve
from lookwider.diagnosis.objects import Box, Mask
from lookwider.evaluation.pictures import (
    DPI,
    ERROR_COLOUR,
    IGNORED_COLOUR,
    SHOWN_SIDE,
)
from lookwider.figures import png
from lookwider.images import displayable

BOX_COLOUR = "#ffe000"
MOST_CLASSES = 8
"""Classes whose own curve is drawn."""

LEAST_OBJECTS = 5
"""A point of a class's own curve stands for at least so many objects; fewer say nothing."""

COLUMNS = ("image", "truth", "prediction", "this failure")


@dataclass(frozen=True, eq=False)
class Shown:
    """An object that failed, as a row of a picture.

    Attributes:
        caption: a line of text.
        image: (H, W, C).
        label: (H, W) class ids, 255 where ignored.
        prediction: (H, W) class ids.
        box: (top, left, bottom, right) of the object.
        mask: (H, W) its pixels of this failure.
    """

    caption: str
    image: ImageArray
    label: LabelArray
    prediction: LabelArray
    box: Box
    mask: Mask


def examples_picture(examples: Sequence[Shown], classes: Classes, *, title: str = "") -> bytes:
    """Return a PNG with a row per object: image, truth, prediction, and the failure in red."""
    height = row_height([example.label for example in examples], 3.1)
    figure = Figure(figsize=(4 * 3.2 + 0.2, len(examples) * height + 1.4), dpi=DPI)
    figure.set_layout_engine("constrained")
    figure.suptitle(title, fontsize=13, x=0.005, ha="left")
    grid = figure.subplots(len(examples), 4, squeeze=False)
    for line, example in zip(grid, examples, strict=True):
        _draw_row(list(line), example, classes)
    for axes, name in zip(grid[0], COLUMNS, strict=True):
        axes.set_title(name, fontsize=10, fontweight="bold")
    figure.legend(
        handles=legend_of(
            [labels for e in examples for labels in (e.label, e.prediction)],
            classes,
            {"this failure": ERROR_COLOUR},
        ),
        loc="outside lower center",
        ncols=8,
        fontsize=8,
        frameon=False,
    )
    return png(figure)


def _draw_row(line: list[Axes], example: Shown, classes: Classes) -> None:
    palette = classes.palette_array()
    palette[IGNORE_INDEX] = IGNORED_COLOUR
    image = displayable(example.image)
    failed = pale(image)
    failed[example.mask] = ERROR_COLOUR
    step = -(-max(example.label.shape) // SHOWN_SIDE)
    pictures = (image, palette[example.label], palette[example.prediction], failed)
    height, width = example.label.shape
    for axes, picture in zip(line, pictures, strict=True):
        thinned = picture[::step, ::step]
        axes.imshow(thinned, interpolation="nearest", extent=(0, width, height, 0))
        axes.add_patch(_outline(example.box, (height, width)))
        axes.set_xticks([])
        axes.set_yticks([])
    caption = textwrap.fill(example.caption, 170)
    line[0].set_xlabel(caption, fontsize=9, loc="left")


def _outline(box: Box, size: tuple[int, int]) -> Rectangle:
    """Return a rectangle a little outside an object, so that small ones stay visible."""
    margin = 0.012 * max(size)
    top, left = max(0, box[0] - margin), max(0, box[1] - margin)
    bottom, right = min(size[0], box[2] + margin), min(size[1], box[3] + margin)
    return Rectangle(
        (left, top), right - left, bottom - top, fill=False, edgecolor=BOX_COLOUR, linewidth=1.6
    )


def legend_of(
    labels: Sequence[LabelArray], classes: Classes, meanings: Mapping[str, Colour]
) -> list[Patch]:
    """Return the entries of a legend: the classes that are there, and further colours."""
    ids = np.unique(np.concatenate([np.unique(each) for each in labels]))
    shown = [(classes.names[i], classes.palette[i]) for i in ids if i < len(classes)]
    shown.extend(meanings.items())
    if IGNORE_INDEX in ids:
        shown.append(("ignored", IGNORED_COLOUR))
    return [
        Patch(facecolor=unit(colour), edgecolor="0.5", linewidth=0.5, label=name)
        for name, colour in shown
    ]


def row_height(labels: Sequence[LabelArray], width: float) -> float:
    """Return the height in inches of a row whose pictures are so wide."""
    rows, cols = np.max([each.shape for each in labels], axis=0)
    return width * min(float(rows / cols), 2.0) + 0.3


def pale(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return an image in light grey, to draw on: (H, W, 3)."""
    grey = image.mean(2, keepdims=True).repeat(3, 2)
    return np.asarray(150 + grey * (105 / 255)).astype(np.uint8)


def unit(colour: Colour) -> tuple[float, float, float]:
    """Return a colour as matplotlib takes it."""
    red, green, blue = colour
    return red / 255, green / 255, blue / 255


def recall_picture(by_size: RecallCurve, by_contrast: RecallCurve, classes: Classes) -> bytes:
    """Return a PNG: the share of objects found by their size and by their contrast."""
    figure = Figure(figsize=(11.5, 4.9), dpi=DPI)
    figure.set_layout_engine("constrained")
    panels = figure.subplots(1, 2, sharey=True)
    most = np.argsort(-by_size.missed.sum(1), kind="stable")[:MOST_CLASSES]
    chosen = sorted(int(i) for i in most if by_size.missed[i].any())
    _draw_curve(panels[0], by_size, chosen, classes, "share of the image in %", 100)
    _draw_curve(
        panels[1], by_contrast, chosen, classes, "contrast with the surroundings in deviations", 1
    )
    panels[0].set_ylabel("objects found in %")
    panels[0].set_ylim(-4, 118)
    panels[0].set_yticks(range(0, 101, 20))
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=9, fontsize=8, frameon=False)
    figure.suptitle("Objects of the truth that were not missed", fontsize=11, x=0.005, ha="left")
    return png(figure)


def _draw_curve(
    axes: Axes,
    curve: RecallCurve,
    chosen: Sequence[int],
    classes: Classes,
    label: str,
    factor: float,
) -> None:
    """Draw the share found by bin: all classes as a black line, those missed most in colour."""
    bins = len(curve.edges) - 1
    places = range(bins)
    for class_id in chosen:
        colour = unit(classes.palette[class_id])
        name = classes.names[class_id]
        found = np.where(curve.objects[class_id] < LEAST_OBJECTS, np.nan, curve.found(class_id))
        axes.plot(places, 100 * found, "o-", color=colour, ms=4, lw=1.2, label=name)
    axes.plot(places, 100 * curve.found(), "ks-", lw=2, ms=5, label="all classes")
    for place, count in zip(places, curve.objects.sum(0), strict=True):
        axes.text(place, 106, f"{count}", ha="center", fontsize=7, color="0.4")
    axes.text(-0.5, 112, "objects:", fontsize=7, color="0.4")
    names = [
        _bin_name(low, high, factor)
        for low, high in zip(curve.edges, curve.edges[1:], strict=False)
    ]
    axes.set_xticks(places, names, fontsize=8)
    axes.set_xlim(-0.6, bins - 0.4)
    axes.set_xlabel(label)
    axes.grid(axis="y", color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _bin_name(low: float, high: float, factor: float) -> str:
    if np.isinf(high):
        return f"{low * factor:g} and more"
    return f"{low * factor:g} to {high * factor:g}"
