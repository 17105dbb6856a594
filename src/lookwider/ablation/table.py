"""A table of a paper: what differs from row to row, and the paper's numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lookwider.ablation.published import Published


@dataclass(frozen=True)
class Row:
    """A row of a table: what is trained for it.

    Attributes:
        label: its name, as in the paper where the paper has one.
        model: name of the model.
        settings: of the model and the training, by name; no other row's settings change.
        published: the paper's numbers.
        starts_from: label of the row whose run of the same seed this one continues from.
        lr_factor: of the learning rate, for a run that continues from another.
        maps: how many of the trunk's maps are scored, the deepest first; None for the model's own.
    """

    label: str
    model: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    published: Published = field(default_factory=Published)
    starts_from: str | None = None
    lr_factor: float = 1.0
    maps: int | None = None

    @property
    def folder(self) -> str:
        """The label as the name of a folder.

        Example:
            >>> Row("pool6+fc7, normalised", "parsenet").folder
            'pool6-fc7-normalised'
        """
        return re.sub(r"[^a-z0-9]+", "-", self.label.lower()).strip("-")


@dataclass(frozen=True)
class AblationTable:
    """A table of a paper.

    Attributes:
        name: on the command line.
        title: what its rows compare.
        source: the paper and the table there.
        published_on: data set and trunk of the paper's numbers.
        rows: from top to bottom; the first is what the others are compared with.
        remarks: what to know when it is read.
    """

    name: str
    title: str
    source: str
    published_on: str
    rows: tuple[Row, ...]
    remarks: tuple[str, ...] = ()

    @property
    def varied(self) -> frozenset[str]:
        """The settings that the rows decide, and that are not to be given from outside."""
        own = {name for row in self.rows for name in row.settings}
        maps = {"layers"} if any(row.maps is not None for row in self.rows) else set()
        start = {"init_from"} if any(row.starts_from for row in self.rows) else set()
        return frozenset(own | maps | start | {"model"})

    def row(self, label: str) -> Row:
        """Return the row of this label."""
        return next(row for row in self.rows if row.label == label)
