"""What an evaluation found: counts, the metrics that follow from them, and the worst images."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.table import Table
from rich.text import Text
from torch import Tensor

from lookwider.classes import Classes
from lookwider.evaluation import metrics
from lookwider.evaluation.metrics import Convention
from lookwider.evaluation.pictures import Example, confusion_picture, worst_picture
from lookwider.images import write_bytes


@dataclass(frozen=True, eq=False)
class ClassScores:
    """The metrics of one head over a whole data set.

    Attributes:
        classes: names and colours, id = position.
        counts: (K, K) int64 pixels, ``[truth, prediction]``.
        convention: what a class without a pixel of truth does to the means.
    """

    classes: Classes
    counts: Tensor
    convention: Convention = "fcn"

    @cached_property
    def pixel_accuracy(self) -> float:
        """Share of the pixels that are right."""
        return metrics.pixel_accuracy(self.counts)

    @cached_property
    def mean_accuracy(self) -> float:
        """Mean over classes of the share of a class's pixels that are right."""
        return metrics.mean_accuracy(self.counts, self.convention)

    @cached_property
    def mean_iou(self) -> float:
        """Mean over classes of the intersection over union."""
        return metrics.mean_iou(self.counts, self.convention)

    @cached_property
    def freq_weighted_iou(self) -> float:
        """Mean of the intersection over union, weighted with the classes' pixels."""
        return metrics.freq_weighted_iou(self.counts)

    @cached_property
    def class_iou(self) -> tuple[float, ...]:
        """Intersection over union of each class; nan of one in neither truth nor prediction."""
        return tuple(metrics.class_iou(self.counts).tolist())

    @cached_property
    def class_accuracy(self) -> tuple[float, ...]:
        """Share of each class's pixels that are right; nan of a class without any."""
        return tuple(metrics.class_accuracy(self.counts).tolist())

    @cached_property
    def classes_present(self) -> int:
        """Number of classes that the truth holds."""
        return metrics.classes_present(self.counts)

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON holds it; nan becomes None."""
        shares = (self.counts.sum(1) / max(1, int(self.counts.sum()))).tolist()
        return {
            "pixel_accuracy": _number(self.pixel_accuracy),
            "mean_accuracy": _number(self.mean_accuracy),
            "mean_iou": _number(self.mean_iou),
            "freq_weighted_iou": _number(self.freq_weighted_iou),
            "convention": self.convention,
            "num_classes": len(self.classes),
            "classes_present": self.classes_present,
            "classes": {
                name: {"iou": _number(iou), "accuracy": _number(accuracy), "share": share}
                for name, iou, accuracy, share in zip(
                    self.classes.names, self.class_iou, self.class_accuracy, shares, strict=True
                )
            },
            "confusion": self.counts.tolist(),
        }

    def table(self, title: str = "") -> Table:
        """Return a table of the classes, the four metrics beneath."""
        table = Table(title=Text(title) if title else None, title_justify="left", show_footer=True)
        table.add_column("class", footer=f"mean ({self.classes_present} in the truth)")
        for name, mean in (("IoU", self.mean_iou), ("accuracy", self.mean_accuracy)):
            table.add_column(name, justify="right", footer=_percent(mean))
        table.add_column("share of pixels", justify="right", footer="100.0")
        shares = (self.counts.sum(1) / max(1, int(self.counts.sum()))).tolist()
        for row in zip(
            self.classes.names, self.class_iou, self.class_accuracy, shares, strict=True
        ):
            table.add_row(Text(row[0]), *(_percent(value) for value in row[1:]))
        return table

    def summary(self) -> str:
        """Return the four metrics in one line, in per cent."""
        return (
            f"mean IoU {_percent(self.mean_iou)}   pixel accuracy {_percent(self.pixel_accuracy)}"
            f"   mean accuracy {_percent(self.mean_accuracy)}"
            f"   frequency weighted IoU {_percent(self.freq_weighted_iou)}"
            f"   ({self.classes_present} of {len(self.classes)} classes in the truth)"
        )


@dataclass(frozen=True)
class ImageScore:
    """How one image went: its own mean IoU and pixel accuracy; nan without a valid pixel."""

    name: str
    mean_iou: float
    pixel_accuracy: float


@dataclass(frozen=True, eq=False)
class ScoredImage:
    """An image with what was there and what was predicted."""

    score: ImageScore
    image: npt.NDArray[np.generic]
    label: npt.NDArray[np.uint8]
    prediction: npt.NDArray[np.uint8]

    @property
    def caption(self) -> str:
        """Name and scores in a line."""
        return (
            f"{self.score.name}: mean IoU {_percent(self.score.mean_iou)}, "
            f"pixel accuracy {_percent(self.score.pixel_accuracy)}"
        )


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The result of `lookwider.evaluation.evaluate`.

    Attributes:
        scores: of the main head.
        extra: of further heads that have labels, by head name.
        images: every image's own score, in the order of the data set.
        worst: the images of the lowest mean IoU, the worst first.
        seconds: that reading, predicting and counting took.
        protocol: how it was measured.
        best: the images of the highest mean IoU, the best first.
    """

    scores: ClassScores
    extra: Mapping[str, ClassScores]
    images: tuple[ImageScore, ...]
    worst: tuple[ScoredImage, ...]
    seconds: float
    protocol: Mapping[str, Any] = field(default_factory=dict)
    best: tuple[ScoredImage, ...] = ()

    @property
    def mean_iou(self) -> float:
        """Mean IoU of the main head."""
        return self.scores.mean_iou

    @property
    def images_per_second(self) -> float:
        """Images evaluated in a second."""
        return len(self.images) / max(self.seconds, 1e-9)

    def to_json(self) -> dict[str, Any]:
        """Return everything but the pictures as JSON holds it; nan becomes None."""
        return {
            **self.scores.to_json(),
            "extra": {head: scores.to_json() for head, scores in self.extra.items()},
            "images": [
                {
                    "name": image.name,
                    "mean_iou": _number(image.mean_iou),
                    "pixel_accuracy": _number(image.pixel_accuracy),
                }
                for image in self.images
            ],
            "seconds": self.seconds,
            "images_per_second": self.images_per_second,
            "protocol": dict(self.protocol),
        }

    def table(self, title: str = "") -> Table:
        """Return the table of the main head's classes."""
        return self.scores.table(title)

    def save(self, folder: str | Path) -> list[Path]:
        """Write ``evaluation.json``, ``confusion.png`` and ``worst.png``; return their paths."""
        folder = Path(folder)
        note = f"images: {self.protocol['images']}" if "images" in self.protocol else ""
        files = {
            "evaluation.json": json.dumps(self.to_json(), indent=1, allow_nan=False).encode(),
            "confusion.png": confusion_picture(
                self.scores.counts.numpy(), self.scores.classes, note=note
            ),
        }
        for head, scores in self.extra.items():
            files[f"confusion_{head}.png"] = confusion_picture(
                scores.counts.numpy(), scores.classes, note=note
            )
        if self.worst:
            examples = [Example(w.caption, w.image, w.label, w.prediction) for w in self.worst]
            files["worst.png"] = worst_picture(examples, self.scores.classes, note=note)
        for name, data in files.items():
            write_bytes(folder / name, data)
        return [folder / name for name in files]


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value


def _percent(value: float) -> str:
    return "-" if np.isnan(value) else f"{100 * value:.1f}"
