"""Classes of a label map as run lengths and as polygons, both exact."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import cast

import contourpy
import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.uint8]
Ring = npt.NDArray[np.float64]
"""(points, 2) x and y, the last point equal to the first."""


@dataclass(frozen=True)
class Runs:
    """Runs of equal labels, going down the columns from left to right.

    Attributes:
        values: (runs,) the label of each.
        starts: (runs + 1,) where each begins; the last is the number of pixels.
    """

    values: Labels
    starts: npt.NDArray[np.int64]

    @classmethod
    def of(cls, labels: Labels) -> Runs:
        """Find the runs of a label map (H, W)."""
        flat = labels.ravel(order="F")
        inner = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        starts = np.concatenate([[0], inner, [flat.size]]).astype(np.int64)
        return cls(flat[starts[:-1]], starts)

    def counts(self, label: int) -> npt.NDArray[np.int64]:
        """Return COCO's uncompressed run lengths: pixels outside, inside, outside, ...

        Example:
            >>> Runs.of(np.array([[1, 0], [1, 0]], np.uint8)).counts(1).tolist()
            [0, 2, 2]
        """
        own = np.flatnonzero(self.values == label)
        edges = np.stack([self.starts[own], self.starts[own + 1]], axis=1).ravel()
        ends = edges if len(edges) and edges[-1] == self.starts[-1] else [*edges, self.starts[-1]]
        lengths: npt.NDArray[np.int64] = np.diff(np.array([0, *ends], np.int64)).astype(np.int64)
        return lengths


def polygons(mask: npt.NDArray[np.bool_], simplify: float = 0.0) -> list[list[Ring]]:
    """Return the areas of a mask: each its outer ring, and then the rings of its holes.

    A pixel in row r and column c covers x from c to c + 1 and y from r to r + 1. The rings cut
    pixel edges in the middle, so exactly the centres of the mask's pixels lie inside.

    Args:
        mask: (H, W).
        simplify: how far, in pixels, the rings may go from where they were.

    Example:
        >>> [[ring]] = polygons(np.array([[True]]))
        >>> sorted({(float(x), float(y)) for x, y in ring})
        [(0.0, 0.5), (0.5, 0.0), (0.5, 1.0), (1.0, 0.5)]
    """
    rows, cols = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    if not len(rows):
        return []
    top, left = int(rows[0]), int(cols[0])
    inside = mask[top : rows[-1] + 1, left : cols[-1] + 1]
    generator = contourpy.contour_generator(
        z=np.pad(inside, 1).astype(np.float32), fill_type=contourpy.FillType.OuterOffset
    )
    areas = cast(tuple[list[Ring], list[npt.NDArray[np.int64]]], generator.filled(0.5, np.inf))
    found = []
    for area, starts in zip(*areas, strict=True):
        moved = area + np.array([left - 0.5, top - 0.5])
        rings = [moved[a:b] for a, b in itertools.pairwise(starts)]
        kept = [simplified(ring, simplify) for ring in rings]
        if len(kept[0]) > 3:
            found.append([ring for ring in kept if len(ring) > 3])
    return found


def simplified(ring: Ring, tolerance: float) -> Ring:
    """Return fewer points of a ring, of which none left out is further away than the tolerance.

    Douglas and Peucker 1973, from the two points that are furthest apart along x or y. With no
    tolerance only points on a straight line are left out.

    Example:
        >>> square = np.array([[0, 0], [1, 0], [2, 0], [2, 2], [0, 2], [0, 0]], np.float64)
        >>> simplified(square, 0.0).tolist()
        [[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0], [0.0, 0.0]]
    """
    ring = _without_straight(ring)
    if not tolerance or len(ring) < 5:
        return ring
    first = int(ring[:-1].sum(1).argmin())
    turned = np.concatenate([ring[first:-1], ring[: first + 1]])
    furthest = int(np.square(turned - turned[0]).sum(1).argmax())
    keep = np.zeros(len(turned), bool)
    keep[[0, furthest, -1]] = True
    spans = [(0, furthest), (furthest, len(turned) - 1)]
    while spans:
        start, stop = spans.pop()
        if stop - start < 2:
            continue
        away = _distances(turned[start + 1 : stop], turned[start], turned[stop])
        worst = int(away.argmax())
        if away[worst] > tolerance:
            middle = start + 1 + worst
            keep[middle] = True
            spans += [(start, middle), (middle, stop)]
    return turned[keep]


def _without_straight(ring: Ring) -> Ring:
    """Leave out the points where a ring goes straight on."""
    open_ring = ring[:-1]
    before = open_ring - np.roll(open_ring, 1, axis=0)
    after = np.roll(open_ring, -1, axis=0) - open_ring
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    kept = open_ring[turns]
    return np.concatenate([kept, kept[:1]])


def _distances(points: Ring, start: Ring, stop: Ring) -> npt.NDArray[np.float64]:
    """Return how far points are from the line between two others."""
    along = stop - start
    share = ((points - start) @ along / (along @ along)).clip(0, 1)
    away: npt.NDArray[np.float64] = np.linalg.norm(points - start - share[:, None] * along, axis=1)
    return away
