"""How much a model relies on its context, per class: what was counted, and what follows."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from rich.table import Table
from rich.text import Text
from torch import Tensor

from lookwider.classes import Classes
from lookwider.evaluation import metrics
from lookwider.images import write_bytes
from lookwider.probes.swap.moves import Moves, number
from lookwider.probes.swap.pictures import ClassBars, reliance_picture

Kind = Literal["other", "mean", "zeros"]
"""What stands in for each image's context: another image's of the same set, their mean, zeros."""

KINDS: tuple[Kind, ...] = get_args(Kind)

WORDS: dict[Kind, str] = {
    "other": "another image's",
    "mean": "the mean",
    "zeros": "zeros",
}


@dataclass(frozen=True, eq=False)
class Reliance:
    """What one kind of replacement did, over all images.

    Attributes:
        kind: what stood in for each image's context.
        moves: which class became which.
        truth_before: (K, K) int64 ``[truth, prediction]`` with the images' own contexts, or None
            without labels.
        truth_after: likewise with the replaced contexts.
    """

    kind: Kind
    moves: Moves
    truth_before: Tensor | None
    truth_after: Tensor | None

    @property
    def share_changed(self) -> float:
        """Share of the pixels that change class: the reliance on context as one number."""
        return self.moves.share_changed

    @property
    def class_changed(self) -> tuple[float, ...]:
        """Per class, the share of the pixels predicted as it that change class; nan of none."""
        return self.moves.class_changed

    @property
    def class_variation(self) -> tuple[float, ...]:
        """Per class, how far the probabilities of its pixels move on average; nan of none."""
        return self.moves.class_variation

    @property
    def mean_iou_before(self) -> float:
        """Mean IoU with the images' own contexts; nan without labels."""
        return float("nan") if self.truth_before is None else metrics.mean_iou(self.truth_before)

    @property
    def mean_iou_after(self) -> float:
        """Mean IoU with the replaced contexts; nan without labels."""
        return float("nan") if self.truth_after is None else metrics.mean_iou(self.truth_after)

    @property
    def class_iou_before(self) -> tuple[float, ...] | None:
        """IoU of each class with the images' own contexts; None without labels."""
        return None if self.truth_before is None else _iou(self.truth_before)

    @property
    def class_iou_after(self) -> tuple[float, ...] | None:
        """IoU of each class with the replaced contexts; None without labels."""
        return None if self.truth_after is None else _iou(self.truth_after)

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON holds it; nan becomes None."""
        found = {"kind": self.kind, **self.moves.to_json()}
        for when, counts in (("before", self.truth_before), ("after", self.truth_after)):
            if counts is not None:
                found[f"mean_iou_{when}"] = number(metrics.mean_iou(counts))
                found[f"class_iou_{when}"] = [number(iou) for iou in _iou(counts)]
                found[f"confusion_{when}"] = counts.tolist()
        return found


@dataclass(frozen=True, eq=False)
class ContextReliance:
    """How much a network relies on its context.

    Attributes:
        network: the network's name.
        slot: where the context was replaced, in words.
        classes: names and colours, id = position.
        images: how many were taken.
        seed: which image's context each image got.
        results: by kind of replacement.
    """

    network: str
    slot: str
    classes: Classes
    images: int
    seed: int
    results: Mapping[Kind, Reliance]

    @property
    def labelled(self) -> bool:
        """Whether every image had labels."""
        return all(result.truth_before is not None for result in self.results.values())

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON holds it; nan becomes None."""
        return {
            "network": self.network,
            "slot": self.slot,
            "images": self.images,
            "seed": self.seed,
            "class_names": list(self.classes.names),
            "replacements": {kind: result.to_json() for kind, result in self.results.items()},
        }

    def summary(self) -> str:
        """Return the reliance as one number per replacement, in a line."""
        shares = ", ".join(
            f"{100 * result.share_changed:.1f} % with {WORDS[kind]}"
            for kind, result in self.results.items()
        )
        return f"{self.images} images; of all pixels change class: {shares}"

    def table(self) -> Table:
        """Return the classes' reliance as a table for a terminal, in per cent."""
        title = f"{self.network}: % of a class's pixels that change when {self.slot} is replaced"
        table = Table(title=Text(title), title_justify="left", show_footer=True)
        table.add_column("class", footer="all", no_wrap=True)
        for kind, result in self.results.items():
            table.add_column(kind, justify="right", footer=_percent(result.share_changed))
        first = next(iter(self.results.values()))
        if self.labelled:
            table.add_column("IoU", justify="right", footer=_percent(first.mean_iou_before))
            for kind, result in self.results.items():
                footer = _percent(result.mean_iou_after)
                table.add_column(f"IoU, {kind}", justify="right", footer=footer)
        for k, name in enumerate(self.classes.names):
            columns = [result.class_changed for result in self.results.values()]
            if self.labelled:
                columns.append(first.class_iou_before or ())
                columns += [result.class_iou_after or () for result in self.results.values()]
            table.add_row(Text(name), *(_percent(column[k]) for column in columns))
        return table

    def picture(self) -> bytes:
        """Return a PNG: per class, what changes and what it costs."""
        bars = [
            ClassBars(WORDS[kind], r.class_changed, r.class_iou_before, r.class_iou_after)
            for kind, r in self.results.items()
        ]
        title = f"{self.network}, {self.images} images: {self.slot} replaced"
        return reliance_picture(bars, self.classes, title)

    def save(self, folder: str | Path) -> list[Path]:
        """Write ``reliance.json`` and ``reliance.png``; return their paths."""
        files = {
            "reliance.json": json.dumps(self.to_json(), indent=1, allow_nan=False).encode(),
            "reliance.png": self.picture(),
        }
        for name, data in files.items():
            write_bytes(Path(folder) / name, data)
        return [Path(folder) / name for name in files]


def _iou(counts: Tensor) -> tuple[float, ...]:
    return tuple(metrics.class_iou(counts).tolist())


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.1f}"
