"""The confusion of classes as numbers; the template draws it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lookwider.classes import Classes

CELL = 24
"""Side of a heat map's cell."""

MOST_WITH_NUMBERS = 24
"""Classes up to which each cell of a heat map shows its number."""

MOST_CLASSES = 60
"""Classes up to which all are drawn; of more, those with the most wrong pixels."""

LEAST_SHOWN = 0.005
"""Shares below this are left white in a heat map: they would read 0."""

STRONG = 0.7
"""Shares from here on need the other colour of text to be read."""


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
        names: of the classes that are drawn.
        cells: those that do not round to nothing.
        numbers: whether there is room for them.
        margin: room of the names, in the units of the drawing.
        of: number of all classes.
    """

    names: tuple[str, ...]
    cells: tuple[HeatCell, ...]
    numbers: bool
    margin: float
    of: int

    @property
    def side(self) -> float:
        """Width and height in the units of the drawing."""
        return self.margin + CELL * len(self.names)


def heat_map(
    counts: npt.NDArray[np.int64], classes: Classes, drawn: npt.NDArray[np.intp] | None = None
) -> HeatMap:
    """Lay out the counts, each row as shares of the class's pixels.

    Args:
        counts: ``[truth, prediction]``.
        classes: their names.
        drawn: positions of the classes to draw; `drawn_classes` of the counts when not given.

    Shape:
        counts (K, K).
    """
    drawn = drawn_classes(counts) if drawn is None else drawn
    shares = _shares(counts)[np.ix_(drawn, drawn)]
    names = tuple(classes.names[i] for i in drawn)
    cells = tuple(
        HeatCell(
            int(row), int(col), names[row], names[col], float(shares[row, col]),
            bool(shares[row, col] >= STRONG),
        )
        for row, col in np.argwhere(shares >= LEAST_SHOWN)
    )  # fmt: skip
    margin = 16 + 7.2 * max(map(len, names))
    return HeatMap(names, cells, len(names) <= MOST_WITH_NUMBERS, margin, len(classes))


def drawn_classes(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    """Return the positions of the classes that there is room for, in their order."""
    if len(counts) <= MOST_CLASSES:
        return np.arange(len(counts))
    wrong = counts.sum(0) + counts.sum(1) - 2 * counts.diagonal()
    return np.sort(np.argsort(-wrong, kind="stable")[:MOST_CLASSES])


@dataclass(frozen=True)
class Mistake:
    """A class taken for another: the share of ``truth``'s pixels, of each run."""

    truth: str
    prediction: str
    shares: tuple[float, ...]


def mistakes(
    counts: tuple[npt.NDArray[np.int64], ...], classes: Classes, most: int = 10
) -> list[Mistake]:
    """Return the wrong answers that take the largest share of their class in any of the runs.

    Args:
        counts: ``[truth, prediction]`` of each run.
        classes: their names.
        most: so many at most, the largest first.

    Shape:
        counts (K, K) each.
    """
    shares = np.stack([_shares(run) for run in counts])
    worst = shares.max(0)
    np.fill_diagonal(worst, 0.0)
    order = np.argsort(-worst, axis=None, kind="stable")[:most]
    pairs = [np.unravel_index(i, worst.shape) for i in order if worst.flat[i] >= LEAST_SHOWN]
    return [
        Mistake(classes.names[t], classes.names[p], tuple(shares[:, t, p].tolist()))
        for t, p in pairs
    ]


def _shares(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    shares: npt.NDArray[np.float64] = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    return shares
