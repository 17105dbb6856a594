"""Where windows of noise are put, and what they tell of each pixel."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Places = npt.NDArray[np.int64]
Measure = Callable[[Places], npt.NDArray[np.float64]]
"""Top left corners (P, 2) -> the discrepancy of each window."""


@dataclass(frozen=True, eq=False)
class Lattice:
    """The places of a window along both axes, on several levels; each holds the coarser ones.

    All windows lie inside the image; the last one along an axis ends where the image ends.

    Attributes:
        levels: rows and columns of the windows' corners, coarse to fine.
    """

    levels: tuple[tuple[Places, Places], ...]

    @classmethod
    def over(cls, size: tuple[int, int], window: int, stride: int, *, refine: bool) -> Lattice:
        """Return the lattice of an image.

        Args:
            size: (height, width) of the image.
            window: side of the window.
            stride: pixels between the finest places.
            refine: begin with windows side by side, or as nearly so as halving allows; otherwise
                the finest level is the only one.
        """
        steps = [stride]
        while refine and steps[-1] * 2 <= window:
            steps.append(steps[-1] * 2)
        rows, cols = ([_corners(length, window, step) for step in steps[::-1]] for length in size)
        return cls(tuple(zip(rows, cols, strict=True)))

    @property
    def finest(self) -> tuple[Places, Places]:
        """Rows and columns of the last level."""
        return self.levels[-1]

    def corners(self, wanted: npt.NDArray[np.bool_]) -> Places:
        """Return the corners (P, 2) of chosen places of the finest level."""
        rows, cols = self.finest
        i, j = np.nonzero(wanted)
        return np.stack([rows[i], cols[j]], axis=1)


def _corners(length: int, window: int, step: int) -> Places:
    last = length - window
    return np.unique(np.append(np.arange(0, last + 1, step), last))


def search(lattice: Lattice, measure: Measure, threshold: float) -> npt.NDArray[np.float64]:
    """Measure the coarsest level, then finer ones where the threshold is crossed, and at the peak.

    Between four measured places of which some lie above ``threshold`` times the largest value and
    some do not, the next level's places are measured. So are those around the largest value of
    each level, until it is the largest of its finest neighbours: the limit hangs on it. This goes
    on until nothing is left to measure.

    Returns:
        The values of the finest level's places (rows, columns); nan where none was needed.
    """
    values = np.full([len(places) for places in lattice.finest], np.nan)
    wanted = np.zeros(values.shape, np.bool_)
    indices = [
        tuple(
            np.searchsorted(fine, places)
            for fine, places in zip(lattice.finest, level, strict=True)
        )
        for level in lattice.levels
    ]
    wanted[np.ix_(*indices[0])] = True
    while wanted.any():
        values[wanted] = measure(lattice.corners(wanted))
        limit = threshold * np.nanmax(values)
        wanted[:] = False
        for coarse, fine in itertools.pairwise(indices):
            _want_between(values, limit, coarse, fine, wanted)
            _want_around_largest(values, coarse, fine, wanted)
        _want_around_largest(values, indices[-1], indices[-1], wanted)
        wanted &= np.isnan(values)
    return values


def _want_between(
    values: npt.NDArray[np.float64],
    limit: float,
    coarse: Sequence[Places],
    fine: Sequence[Places],
    wanted: npt.NDArray[np.bool_],
) -> None:
    """Mark the finer places between coarse ones that lie on different sides of a limit."""
    rows, cols = coarse
    level = values[np.ix_(rows, cols)]
    if len(rows) == 1 or len(cols) == 1:  # the window fills an axis: cells are mere edges
        level = np.broadcast_to(level, (max(len(rows), 2), max(len(cols), 2)))
        rows, cols = (np.broadcast_to(axis, max(len(axis), 2)) for axis in (rows, cols))
    corners = np.stack([level[:-1, :-1], level[:-1, 1:], level[1:, :-1], level[1:, 1:]])
    above = corners > limit
    mixed = above.any(0) & ~above.all(0) & ~np.isnan(corners).any(0)
    for i, j in zip(*np.nonzero(mixed), strict=True):
        inside = [
            axis[(axis >= places[k]) & (axis <= places[k + 1])]
            for axis, places, k in zip(fine, (rows, cols), (i, j), strict=True)
        ]
        wanted[np.ix_(*inside)] = True


def _want_around_largest(
    values: npt.NDArray[np.float64],
    coarse: Sequence[Places],
    fine: Sequence[Places],
    wanted: npt.NDArray[np.bool_],
) -> None:
    """Mark the finer places around the largest of the coarse ones, up to its neighbours."""
    level = values[np.ix_(*coarse)]
    peak = divmod(int(np.nanargmax(level)), level.shape[1])
    inside = []
    for places, finer, k in zip(coarse, fine, peak, strict=True):
        low, high = places[max(k - 1, 0)], places[min(k + 1, len(places) - 1)]
        inside.append(finer[(finer >= low) & (finer <= high)])
    wanted[np.ix_(*inside)] = True


def pixel_map(
    size: tuple[int, int],
    window: int,
    corners: Places,
    values: npt.NDArray[np.floating],
) -> npt.NDArray[np.float32]:
    """Return for every pixel the least value of the windows that cover it; 0 where none does.

    A window changes the network's answer when any of its pixels matters, so a single window that
    covers a pixel and changes nothing proves that this pixel does not matter.
    """
    least = np.full(size, np.inf, np.float32)
    for (row, col), value in zip(corners.tolist(), values.tolist(), strict=True):
        covered = least[row : row + window, col : col + window]
        np.minimum(covered, value, out=covered)
    return np.where(np.isinf(least), np.float32(0), least)
