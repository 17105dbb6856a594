"""How many objects are found, by a property of theirs such as their size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lookwider.classes import Classes

Counts = npt.NDArray[np.int64]

SIZE_EDGES = (0.0, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 1.0)
"""Shares of the image; half a decade a bin."""

CONTRAST_EDGES = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, float("inf"))
"""In standard deviations; see `lookwider.diagnosis.inconspicuous`."""


@dataclass(frozen=True, eq=False)
class RecallCurve:
    """Objects and their pixels by class and bin, as whole numbers that add up.

    Attributes:
        what: the property, for people.
        edges: B + 1 edges of the bins; an object lies in the bin whose lower edge it reaches.
        names: of the classes.
        objects: (K, B) objects.
        missed: (K, B) those that were missed.
        pixels: (K, B) labelled pixels of the objects.
        right: (K, B) right ones among them.
    """

    what: str
    edges: tuple[float, ...]
    names: tuple[str, ...]
    objects: Counts
    missed: Counts
    pixels: Counts
    right: Counts

    @classmethod
    def empty(cls, what: str, edges: tuple[float, ...], classes: Classes) -> RecallCurve:
        """Return a curve without an object.

        Example:
            >>> RecallCurve.empty("size", (0, 0.5, 1), Classes.numbered(3)).objects.shape
            (3, 2)
        """
        tables = [np.zeros((len(classes), len(edges) - 1), np.int64) for _ in range(4)]
        return cls(what, edges, classes.names, *tables)

    def add(self, class_id: int, value: float, pixels: int, right: int, *, missed: bool) -> None:
        """Count an object."""
        last = len(self.edges) - 2
        place = min(int(np.searchsorted(self.edges, value, side="right")) - 1, last)
        self.objects[class_id, place] += 1
        self.missed[class_id, place] += missed
        self.pixels[class_id, place] += pixels
        self.right[class_id, place] += right

    def found(self, class_id: int | None = None) -> npt.NDArray[np.float64]:
        """Return the share of objects that were not missed, by bin; nan in an empty one."""
        objects, missed = self._of(self.objects, class_id), self._of(self.missed, class_id)
        return np.where(objects > 0, 1 - missed / np.maximum(objects, 1), np.nan)

    def recall(self, class_id: int | None = None) -> npt.NDArray[np.float64]:
        """Return the share of the objects' pixels that is right, by bin; nan in an empty one."""
        pixels, right = self._of(self.pixels, class_id), self._of(self.right, class_id)
        return np.where(pixels > 0, right / np.maximum(pixels, 1), np.nan)

    def _of(self, table: Counts, class_id: int | None) -> Counts:
        return table.sum(0) if class_id is None else np.asarray(table[class_id])

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON holds it; the counts of classes without an object are left out.

        An infinite edge becomes None.
        """
        return {
            "what": self.what,
            "edges": [None if np.isinf(edge) else edge for edge in self.edges],
            "all": self._rows(slice(None)),
            "classes": {
                name: self._rows(slice(i, i + 1))
                for i, name in enumerate(self.names)
                if self.objects[i].any()
            },
        }

    def _rows(self, rows: slice) -> Mapping[str, list[int]]:
        tables = {
            "objects": self.objects,
            "missed": self.missed,
            "pixels": self.pixels,
            "right": self.right,
        }
        return {key: table[rows].sum(0).tolist() for key, table in tables.items()}
