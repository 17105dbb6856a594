"""Which classes are seen together, counted over labelled images."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console

from lookwider.classes import IGNORE_INDEX
from lookwider.data.sample import LabelArray, SegmentationDataset
from lookwider.diagnosis.objects import bridged
from lookwider.diagnosis.thresholds import Together
from lookwider.errors import DataError
from lookwider.images import write_bytes
from lookwider.inference.prefetch import prefetch
from lookwider.inference.progress import ImageProgress

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ClassRelations:
    """In how many images two classes are, and in how many they touch.

    Attributes:
        names: of the classes.
        images: how many were counted.
        together: (K, K) images that hold both; on the diagonal, that hold the class.
        touching: (K, K) images where a pixel of one is next to one of the other, at a side or a
            corner; on the diagonal, that hold the class.
        counted_on: which images, for people.
    """

    names: tuple[str, ...]
    images: int
    together: Counts
    touching: Counts
    counted_on: str = ""

    @classmethod
    def empty(cls, names: tuple[str, ...]) -> ClassRelations:
        """Return the relations of no image."""
        size = len(names)
        return cls(names, 0, np.zeros((size, size), np.int64), np.zeros((size, size), np.int64))

    @classmethod
    def of(
        cls,
        dataset: SegmentationDataset,
        *,
        counted_on: str = "",
        workers: int = 2,
        console: Console | None = None,
        show: bool = True,
    ) -> ClassRelations:
        """Count over the labels of a data set; ``counted_on`` says which, for people.

        Raises:
            DataError: there is no image, or one has no label.

        Example:
            >>> from lookwider.data import SceneDataset
            >>> seen = ClassRelations.of(SceneDataset(3, size=(32, 32)), show=False)
            >>> seen.images, int(seen.together.diagonal().max())
            (3, 2)
        """
        count = len(dataset)
        if count == 0:
            raise DataError("got no image to count which classes are seen together, expected some")
        relations = cls.empty(dataset.classes.names)
        with ImageProgress("counting relations", count, console, show=show) as progress:
            for _, reading in prefetch(dataset.__getitem__, range(count), workers):
                sample = reading.result()
                if sample.label is None:
                    raise DataError(
                        f"{sample.name!r} has no label, expected one to count relations"
                    )
                relations = relations.merge(cls.of_label(sample.label, dataset.classes.names))
                progress.advance()
        return replace(relations, counted_on=counted_on)

    @classmethod
    def of_label(cls, label: LabelArray, names: tuple[str, ...]) -> ClassRelations:
        """Return the relations within one label map (H, W)."""
        size = len(names)
        present = np.zeros(size, np.int64)
        present[np.unique(label[label != IGNORE_INDEX])] = 1
        touching = touching_classes(label, size).astype(np.int64)
        np.fill_diagonal(touching, present)
        return cls(names, 1, np.outer(present, present), touching)

    def merge(self, other: ClassRelations) -> ClassRelations:
        """Return the relations of both sets of images.

        Raises:
            DataError: their classes differ.
        """
        self.check_classes(other.names)
        return ClassRelations(
            self.names,
            self.images + other.images,
            self.together + other.together,
            self.touching + other.touching,
        )

    def check_classes(self, names: tuple[str, ...]) -> None:
        """Raise a `DataError` where the classes are others."""
        if self.names != names:
            raise DataError(
                f"got relations of {len(self.names)} classes: {', '.join(self.names)}; expected "
                f"{len(names)}: {', '.join(names)}; count them on data of the model's classes"
            )

    def unseen(self, together: Together, rare: float) -> npt.NDArray[np.bool_]:
        """Return which pairs do not belong together: (K, K), ``[class, other]``.

        They are together in less than ``rare`` of the images that hold the first, or in none. Of
        a class that no image holds nothing is known, so everything belongs to it.
        """
        table = self.together if together == "image" else self.touching
        holding = table.diagonal()[:, None]
        return np.asarray((holding > 0) & ((table == 0) | (table < rare * holding)))

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON holds it."""
        return {
            "classes": list(self.names),
            "images": self.images,
            "counted_on": self.counted_on,
            "together": self.together.tolist(),
            "touching": self.touching.tolist(),
        }

    @classmethod
    def from_json(cls, content: object) -> ClassRelations:
        """Return what `to_json` gave.

        Raises:
            DataError: it is something else.
        """
        try:
            if not isinstance(content, dict):
                raise TypeError(f"a {type(content).__name__}")
            names = tuple(str(name) for name in content["classes"])
            tables = [np.asarray(content[key], np.int64) for key in ("together", "touching")]
            images, counted_on = int(content["images"]), str(content.get("counted_on", ""))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataError(f"not the relations of classes, expected those saved: {error}") from (
                error
            )
        for table in tables:
            if table.shape != (len(names), len(names)):
                raise DataError(
                    f"not the relations of classes: got a table of shape {table.shape} for "
                    f"{len(names)} classes, expected a row and a column each"
                )
        return cls(names, images, tables[0], tables[1], counted_on)

    def save(self, path: str | Path) -> None:
        """Write a JSON file."""
        write_bytes(path, (json.dumps(self.to_json()) + "\n").encode())

    @classmethod
    def load(cls, path: str | Path) -> ClassRelations:
        """Read a JSON file.

        Raises:
            DataError: it cannot be read or holds something else.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"{path}: cannot be read: {error}") from error
        try:
            return cls.from_json(content)
        except DataError as error:
            raise DataError(f"{path}: {error}; delete it to count anew") from error


def touching_classes(label: LabelArray, num_classes: int) -> npt.NDArray[np.bool_]:
    """Return which classes have pixels next to each other, at a side or a corner.

    Shape:
        label (H, W); (K, K), symmetric, nothing on the diagonal.

    Example:
        >>> touching_classes(np.array([[0, 1, 2]], np.uint8), 3).astype(int).tolist()
        [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    """
    label = bridged(label)
    found = np.zeros((num_classes, num_classes), bool)
    neighbours = (
        (label[:, :-1], label[:, 1:]),
        (label[:-1], label[1:]),
        (label[:-1, :-1], label[1:, 1:]),
        (label[:-1, 1:], label[1:, :-1]),
    )
    for one, other in neighbours:
        border = (one != other) & (one != IGNORE_INDEX) & (other != IGNORE_INDEX)
        found[one[border], other[border]] = True
    return found | found.T
