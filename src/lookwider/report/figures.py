"""The drawings of a page as numbers: curves, heat maps and pictures; the template draws them."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.ticker import MaxNLocator
from PIL import Image

from lookwider.classes import Classes
from lookwider.evaluation.pictures import Example, errors
from lookwider.images import displayable, label_image

WIDTH, HEIGHT = 480, 260
"""Of a curve, in the units of its drawing."""

LEFT, RIGHT, TOP, BOTTOM = 50, 14, 12, 42
"""Margins of a curve, where the numbers of its axes stand."""

CELL = 24
"""Side of a heat map's cell."""

MOST_WITH_NUMBERS = 24
"""Classes up to which each cell of a heat map shows its number."""

LEAST_SHOWN = 0.005
"""Shares below this are left white in a heat map: they would read 0."""

STRONG = 0.7
"""Shares from here on need the other colour of text to be read."""

SHOWN_SIDE = 512
"""Pixels of a picture's longer side at most; larger ones are made smaller."""


@dataclass(frozen=True)
class Tick:
    """A number on an axis, ``at`` in the units of the drawing."""

    at: float
    text: str


@dataclass(frozen=True)
class Curve:
    """One quantity over the steps of a run, laid out in `WIDTH` x `HEIGHT`.

    Attributes:
        title: what is drawn.
        points: (x, y) of each value.
        xs: ticks of the steps.
        ys: ticks of the values.
        description: the same in words, for those who do not see it.
    """

    title: str
    points: tuple[tuple[float, float], ...]
    xs: tuple[Tick, ...]
    ys: tuple[Tick, ...]
    description: str

    @property
    def line(self) -> str:
        """The points as an SVG polyline wants them."""
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in self.points)


def curve(title: str, steps: Sequence[int], values: Sequence[float], unit: str = "") -> Curve:
    """Lay out values over steps, both axes from 0.

    Args:
        title: what is drawn.
        steps: of the values, at least one, in order.
        values: finite and not negative.
        unit: written behind the values in the description.

    Example:
        >>> drawn = curve("loss", [10, 20], [3.0, 1.5])
        >>> drawn.description
        'loss: 3 at step 10, 1.5 at step 20; least 1.5 at step 20'
    """
    ticks = [
        np.asarray(_locator(n).tick_values(0, max(v) or 1)) for n, v in ((6, steps), (5, values))
    ]
    right, top = max(steps[-1], 1), float(ticks[1][-1])

    def x(step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * step / right

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top

    low, high = int(np.argmin(values)), int(np.argmax(values))
    word, best = ("highest", high) if unit else ("least", low)
    said = [f"{values[i]:.4g}{unit} at step {steps[i]}" for i in (0, -1, best)]
    return Curve(
        title,
        tuple((x(step), y(value)) for step, value in zip(steps, values, strict=True)),
        tuple(Tick(x(t), f"{t:g}") for t in ticks[0] if t <= right),
        tuple(Tick(y(t), f"{t:g}") for t in ticks[1]),
        f"{title}: {said[0]}, {said[1]}; {word} {said[2]}",
    )


def _locator(count: int) -> MaxNLocator:
    return MaxNLocator(count, steps=[1, 2, 2.5, 5, 10])


@dataclass(frozen=True)
class HeatCell:
    """A cell of a heat map: the share of ``truth``'s pixels that were taken for ``prediction``."""

    row: int
    column: int
    truth: str
    prediction: str
    share: float
    strong: bool


@dataclass(frozen=True)
class HeatMap:
    """The confusion of classes; rows are the truth.

    Attributes:
        names: of the classes.
        cells: those that do not round to nothing.
        numbers: whether there is room for them.
        margin: room of the names, in the units of the drawing.
    """

    names: tuple[str, ...]
    cells: tuple[HeatCell, ...]
    numbers: bool
    margin: float

    @property
    def side(self) -> float:
        """Width and height in the units of the drawing."""
        return self.margin + CELL * len(self.names)


def heat_map(counts: npt.NDArray[np.int64], classes: Classes) -> HeatMap:
    """Lay out the counts, each row as shares of the class's pixels.

    Shape:
        counts (K, K), ``[truth, prediction]``.
    """
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    names = classes.names
    cells = tuple(
        HeatCell(
            int(row), int(col), names[row], names[col], float(shares[row, col]),
            bool(shares[row, col] >= STRONG),
        )
        for row, col in np.argwhere(shares >= LEAST_SHOWN)
    )  # fmt: skip
    return HeatMap(names, cells, len(names) <= MOST_WITH_NUMBERS, 16 + 7.2 * max(map(len, names)))


def confused(counts: npt.NDArray[np.int64], classes: Classes, most: int = 8) -> list[HeatCell]:
    """Return the wrong answers that take the largest share of their class, largest first."""
    cells = [cell for cell in heat_map(counts, classes).cells if cell.row != cell.column]
    return sorted(cells, key=lambda cell: -cell.share)[:most]


@dataclass(frozen=True)
class Picture:
    """A picture inside the page.

    Attributes:
        title: image, truth, prediction or errors.
        source: the file itself, as a ``data:`` address.
        alt: what is to be seen.
        pixelated: class ids, to be enlarged without blur.
        size: (width, height).
    """

    title: str
    source: str
    alt: str
    pixelated: bool
    size: tuple[int, int]


def pictures(example: Example, classes: Classes) -> tuple[Picture, ...]:
    """Return image, truth, prediction and errors of an example, small enough for a page."""
    name = example.caption.partition(":")[0]
    valid = example.label < len(classes)
    wrong = (example.label != example.prediction) & valid
    share = wrong.sum() / max(int(valid.sum()), 1)
    return (
        _photo("image", displayable(example.image), f"{name}, the image"),
        _labels("truth", example.label, classes),
        _labels("prediction", example.prediction, classes),
        _photo(
            "errors", errors(example), f"in red what is wrong: {100 * share:.1f} % of the pixels"
        ),
    )


def areas(labels: npt.NDArray[np.uint8], classes: Classes, most: int = 4) -> str:
    """Say what an image holds, largest first.

    Example:
        >>> areas(np.array([[0, 1], [1, 1]], np.uint8), Classes.named(["sky", "sea"]))
        'sea 75 %, sky 25 %'
    """
    counts = np.bincount(labels.ravel(), minlength=256)[: len(classes)]
    order = [int(i) for i in np.argsort(-counts, kind="stable")[:most] if counts[i]]
    return ", ".join(f"{classes.names[i]} {100 * counts[i] / labels.size:.0f} %" for i in order)


def _photo(title: str, pixels: npt.NDArray[np.uint8], alt: str) -> Picture:
    image = Image.fromarray(pixels)
    image.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=92, subsampling=0)
    return Picture(title, _address(buffer.getvalue(), "jpeg"), alt, False, image.size)


def _labels(title: str, labels: npt.NDArray[np.uint8], classes: Classes) -> Picture:
    step = -(-max(labels.shape) // SHOWN_SIDE)
    image = label_image(np.ascontiguousarray(labels[::step, ::step]), classes)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    alt = f"{title}: {areas(labels, classes)}"
    return Picture(title, _address(buffer.getvalue(), "png"), alt, True, image.size)


def _address(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
