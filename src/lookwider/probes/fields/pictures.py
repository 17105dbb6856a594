"""Pictures of fields: the map over the image, the region's outline, the theoretical box."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from lookwider.figures import png
from lookwider.images import displayable
from lookwider.probes.fields.theoretical import Box

DPI = 120
REGION_COLOUR, BOX_COLOUR, PLACE_COLOUR = "#00e5ff", "#ffffff", "#39ff14"
BACKGROUND = "0.35"
"""Of what lies around the image, so that white and bright lines are seen on it."""

MAP_COLOURS = "inferno"
"""From black to pale yellow, so that it is read the same in print and by every eye."""


@dataclass(frozen=True, eq=False)
class Panel:
    """One part of a picture.

    Attributes:
        title: above it.
        image: (H, W, C); None for a map of several images.
        values: (H, W) how much each pixel matters, at most 1; None to show the image alone.
        region: (H, W) pixels above the threshold.
        box: theoretical field.
        at: (row, column) of the place.
    """

    title: str
    image: npt.NDArray[np.generic] | None
    values: npt.NDArray[np.float32] | None
    region: npt.NDArray[np.bool_] | None
    box: Box
    at: tuple[int, int]


def fields_picture(rows: Sequence[Sequence[Panel | None]], *, title: str = "") -> bytes:
    """Return a PNG of panels in rows, with a legend and the scale of the maps.

    Args:
        rows: of panels; None leaves a place empty, and so does a shorter row.
        title: above all.
    """
    columns = max(len(row) for row in rows)
    panels = [panel for row in rows for panel in row if panel is not None]
    shapes = [_shape(panel) for panel in panels]
    ratio = float(np.clip(max(height / width for height, width in shapes), 0.4, 1.6))
    wide = {1: 6.0, 2: 4.2}.get(columns, 3.5)
    drawn_width = wide - 0.7 / columns  # the scale stands beside
    size = (columns * wide, len(rows) * (drawn_width * ratio + 0.3) + 0.75)
    figure = Figure(figsize=size, dpi=DPI)
    figure.set_layout_engine("constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False)
    drawn = None
    for line, row in zip(grid, rows, strict=True):
        for axes, panel in zip(line, [*row, *[None] * (columns - len(row))], strict=True):
            if panel is None:
                axes.set_axis_off()
            else:
                drawn = _draw(axes, panel) or drawn
    if drawn is not None:
        bar = figure.colorbar(drawn, ax=list(grid.ravel()), shrink=0.8, pad=0.01, aspect=30)
        bar.set_label("share of the largest value", fontsize=8)
        bar.ax.tick_params(labelsize=7)
    if title:
        figure.suptitle(textwrap.fill(title, int(14 * size[0])), fontsize=10)
    _legend(figure, panels)
    return png(figure, margin=0.08)


def _draw(axes: Axes, panel: Panel) -> AxesImage | None:
    """Draw one panel; return what the colour bar is of."""
    height, width = _shape(panel)
    axes.set_facecolor(BACKGROUND)
    drawn = None
    if panel.image is not None:
        shown = displayable(panel.image)
        if panel.values is not None:
            shown = (0.6 * shown.mean(2, keepdims=True).repeat(3, 2)).astype(np.uint8)
        axes.imshow(shown, interpolation="nearest")
    if panel.values is not None:
        # little influence lets the image show through, much of it covers the image
        opacity = 1.0 if panel.image is None else np.clip(4 * panel.values, 0.0, 0.85)
        drawn = axes.imshow(
            panel.values, cmap=MAP_COLOURS, vmin=0, vmax=1, alpha=opacity, interpolation="nearest"
        )
    if panel.region is not None:
        _outline(axes, panel.region)
    box = panel.box
    for colour, line in (("black", 2.6), (BOX_COLOUR, 1.4)):
        axes.add_patch(
            Rectangle(
                (box.left - 0.5, box.top - 0.5), box.width, box.height,
                fill=False, edgecolor=colour, linewidth=line, linestyle="--",
            )
        )  # fmt: skip
    for colour, marker in (("black", 11), (PLACE_COLOUR, 9)):
        axes.plot(panel.at[1], panel.at[0], "+", color=colour, markersize=marker, mew=marker - 6.5)
    margin = 0.02 * max(height, width)
    axes.set_xlim(-0.5 - margin, width - 0.5 + margin)
    axes.set_ylim(height - 0.5 + margin, -0.5 - margin)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(panel.title, fontsize=8.5)
    return drawn


def _outline(axes: Axes, region: npt.NDArray[np.bool_]) -> None:
    """Draw the border of a region along the edges of its pixels."""
    inside = np.pad(region, 1)
    segments_x: list[float] = []
    segments_y: list[float] = []
    for row, col in zip(*np.nonzero(inside[1:] != inside[:-1]), strict=True):
        segments_x += [col - 1.5, col - 0.5, np.nan]
        segments_y += [row - 0.5, row - 0.5, np.nan]
    for row, col in zip(*np.nonzero(inside[:, 1:] != inside[:, :-1]), strict=True):
        segments_x += [col - 0.5, col - 0.5, np.nan]
        segments_y += [row - 1.5, row - 0.5, np.nan]
    axes.plot(segments_x, segments_y, color="black", linewidth=2.4)
    axes.plot(segments_x, segments_y, color=REGION_COLOUR, linewidth=1.3)


def _legend(figure: Figure, panels: Sequence[Panel]) -> None:
    handles = [
        Line2D([], [], color=PLACE_COLOUR, marker="+", linestyle="", mew=2.5, markersize=9),
        Line2D([], [], color=BOX_COLOUR, linestyle="--", linewidth=1.4),
    ]
    labels = ["place", "theoretical field"]
    if any(panel.region is not None for panel in panels):
        handles.append(Line2D([], [], color=REGION_COLOUR, linewidth=1.6))
        labels.append("region above the threshold")
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=3,
        fontsize=8,
        facecolor=BACKGROUND,
        labelcolor="white",
        edgecolor="none",
        framealpha=1,
    )


def _shape(panel: Panel) -> tuple[int, int]:
    shown = panel.image if panel.values is None else panel.values
    assert shown is not None
    return int(shown.shape[0]), int(shown.shape[1])
