"""Which class became which, and by how much, when a context was replaced."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from rich.table import Table
from rich.text import Text
from torch import Tensor

from lookwider.classes import Classes
from lookwider.errors import ConfigError, DataError, unknown_name
from lookwider.evaluation.metrics import confusion_counts
from lookwider.probes.network import Network
from lookwider.probes.swap.slots import Decision


@dataclass(frozen=True)
class Move:
    """Pixels of one class that became another.

    Attributes:
        before: the class with the image's own context.
        after: the class with the replaced one.
        pixels: how many.
        share: of the pixels that were ``before``.
    """

    before: str
    after: str
    pixels: int
    share: float


@dataclass(frozen=True, eq=False)
class Moves:
    """What became of the pixels of each class; adds up over images.

    Attributes:
        classes: names and colours, id = position.
        counts: (K, K) int64 pixels, ``[class before, class after]``.
        variation: (K,) float64, by class before: the sum over its pixels of the total variation
            distance between the probabilities before and after.
    """

    classes: Classes
    counts: Tensor
    variation: Tensor

    @classmethod
    def none(cls, classes: Classes) -> Moves:
        """Return no pixel yet."""
        k = len(classes)
        zeros = torch.zeros(k, dtype=torch.float64)
        return cls(classes, torch.zeros(k, k, dtype=torch.int64), zeros)

    def __add__(self, other: Moves) -> Moves:
        """Return both together."""
        return Moves(self.classes, self.counts + other.counts, self.variation + other.variation)

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return int(self.counts.sum())

    @property
    def changed(self) -> int:
        """Pixels whose class changed."""
        return int(self.counts.sum() - self.counts.diagonal().sum())

    @property
    def share_changed(self) -> float:
        """Share of the pixels whose class changed; nan without a pixel."""
        return _ratio(self.changed, self.pixels)

    @property
    def mean_variation(self) -> float:
        """Mean total variation distance of a pixel's probabilities; nan without a pixel."""
        return _ratio(float(self.variation.sum()), self.pixels)

    @property
    def class_pixels(self) -> tuple[int, ...]:
        """Pixels of each class before."""
        return tuple(int(n) for n in self.counts.sum(1))

    @property
    def class_changed(self) -> tuple[float, ...]:
        """Share of each class's pixels that became another's; nan of a class without any."""
        stayed = self.counts.diagonal()
        return tuple(
            _ratio(n - int(same), n) for n, same in zip(self.class_pixels, stayed, strict=True)
        )

    @property
    def class_variation(self) -> tuple[float, ...]:
        """Mean total variation distance of each class's pixels; nan of a class without any."""
        sums = self.variation.tolist()
        return tuple(_ratio(s, n) for s, n in zip(sums, self.class_pixels, strict=True))

    def largest(self, number: int | None = None) -> list[Move]:
        """Return which class became which, the most pixels first; ``number`` at most."""
        names, totals = self.classes.names, self.class_pixels
        found = [
            Move(names[a], names[b], n, n / totals[a])
            for a, row in enumerate(self.counts.tolist())
            for b, n in enumerate(row)
            if a != b and n
        ]
        return sorted(found, key=lambda move: -move.pixels)[:number]

    def became(self, before: str, after: str) -> int:
        """Return how many pixels of one class became another.

        Raises:
            ConfigError: there is no such class.
        """
        return int(self.counts[self.class_id(before), self.class_id(after)])

    def class_id(self, name: str) -> int:
        """Return a class's position.

        Raises:
            ConfigError: there is no such class.
        """
        if name not in self.classes.names:
            raise ConfigError(unknown_name("class", name, self.classes.names))
        return self.classes.names.index(name)

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON holds it; nan becomes None."""
        rows = zip(
            self.classes.names,
            self.class_pixels,
            self.class_changed,
            self.class_variation,
            strict=True,
        )
        return {
            "pixels": self.pixels,
            "changed": self.changed,
            "share_changed": number(self.share_changed),
            "mean_variation": number(self.mean_variation),
            "classes": {
                name: {"pixels": n, "changed": number(c), "variation": number(v)}
                for name, n, c, v in rows
            },
            "moves": [vars(move) for move in self.largest()],
            "counts": self.counts.tolist(),
        }

    def table(self, title: str, most: int = 12) -> Table:
        """Return which class became which as a table for a terminal."""
        table = Table(title=Text(title), title_justify="left")
        table.add_column("class before")
        table.add_column("became")
        table.add_column("pixels", justify="right")
        table.add_column("% of the class", justify="right")
        for move in self.largest(most):
            table.add_row(
                Text(move.before), Text(move.after), f"{move.pixels:,}", f"{100 * move.share:.1f}"
            )
        return table


def compare(before: Decision, after: Decision, classes: Classes) -> tuple[Moves, Tensor]:
    """Return which class became which, and how far each pixel's probabilities moved.

    The total variation distance of two distributions p and q is half the sum of ``|p_k - q_k|``:
    the most by which they differ on any set of classes. It is 0 where they are equal and 1 where
    they have no class in common.

    Shape:
        the distances: (H, W) float32.
    """
    number_of = len(classes)
    if before.probabilities.shape[0] != number_of:
        raise DataError(
            f"got scores of {before.probabilities.shape[0]} classes, the data has {number_of}; "
            "give data of the network's classes"
        )
    variation = (before.probabilities - after.probabilities).abs().sum(0) / 2
    counts = confusion_counts(before.labels, after.labels, number_of)
    sums = torch.bincount(
        before.labels.flatten().long().cpu(),
        weights=variation.flatten().double().cpu(),
        minlength=number_of,
    )
    return Moves(classes, counts.cpu(), sums), variation


def classes_of(network: Network, decision: Decision) -> Classes:
    """Return the network's classes, or numbers where it has no names for them."""
    return network.classes or Classes.numbered(int(decision.probabilities.shape[0]))


def number(value: float) -> float | None:
    """Return a number as JSON holds it."""
    return None if math.isnan(value) else value


def _ratio(part: float, whole: int) -> float:
    return part / whole if whole else float("nan")
