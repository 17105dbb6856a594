"""What a page is made of beside its runs: galleries, breakdowns, commands, sections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class BreakdownRow:
    """One group of pixels.

    Attributes:
        name: of the group.
        explanation: what it is, in a sentence.
        pixels: how many there are.
        shares: of the pixels, for each run and each of the breakdown's parts; a run's sum to 1.
    """

    name: str
    explanation: str
    pixels: int
    shares: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Breakdown:
    """The results by groups of pixels.

    Attributes:
        title: of the section.
        lead: what the groups are.
        parts: what can become of a pixel; the first one is right.
        rows: the groups.
        closing: paragraphs on what to make of it.
    """

    title: str
    lead: str
    parts: tuple[str, ...]
    rows: tuple[BreakdownRow, ...]
    closing: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Shown:
    """An image with what was there and what each run predicted.

    Attributes:
        name: of the image.
        image: (H, W, C).
        label: (H, W) class ids, 255 where ignored.
        predictions: (H, W) class ids, one per run.
        note: what else is to be said of it.
    """

    name: str
    image: npt.NDArray[np.generic]
    label: npt.NDArray[np.uint8]
    predictions: tuple[npt.NDArray[np.uint8], ...]
    note: str = ""


@dataclass(frozen=True)
class Gallery:
    """Images with truth, predictions and errors.

    Attributes:
        title: of the section.
        lead: what they are.
        shown: the images.
    """

    title: str
    lead: str
    shown: tuple[Shown, ...]


@dataclass(frozen=True)
class Command:
    """A command to go on with, and what it does."""

    what: str
    command: str


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: what it says.
        best: whether it is the best of its kind, which is marked.
        share: a bar of this share of the cell's width beneath the text, where given.
        run: the run whose colour the cell bears, by its number; None for none.
    """

    text: str
    best: bool = False
    share: float | None = None
    run: int | None = None


@dataclass(frozen=True)
class Table:
    """A table whose first column names the rows.

    Attributes:
        columns: their headings.
        rows: as many cells each.
        caption: what the numbers are.
        texts: the columns that hold words; the others hold numbers and are aligned so.
        folded: what it is, where it is shown only when asked for.
        runs: the columns that are of a run, whose colour their headings bear: their run's number.
    """

    kind: ClassVar[str] = "table"
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    texts: frozenset[int] = frozenset({0})
    folded: str = ""
    runs: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Drawing:
    """A picture as a file's bytes.

    Attributes:
        png: the file.
        alt: what is to be seen, in words.
        caption: beneath it.
    """

    png: bytes
    alt: str
    caption: str = ""


@dataclass(frozen=True)
class Drawings:
    """Pictures side by side where there is room, or each over the whole width."""

    kind: ClassVar[str] = "drawings"
    drawings: tuple[Drawing, ...]
    wide: bool = True


@dataclass(frozen=True)
class Terms:
    """Words and what they mean."""

    kind: ClassVar[str] = "terms"
    terms: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Panels:
    """The same of several runs: one at a time on a screen with scripts, all elsewhere.

    Attributes:
        panels: number and name of the run, and its pictures.
        title: above them.
        folded: whether they are shown only when asked for.
    """

    kind: ClassVar[str] = "panels"
    panels: tuple[tuple[int, str, Drawings], ...]
    title: str = ""
    folded: bool = False


Block = Table | Drawings | Terms | Panels


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        anchor: its address within the page.
        title: its heading.
        lead: paragraphs beneath it.
        blocks: tables and pictures.
        closing: paragraphs on what to make of it.
    """

    anchor: str
    title: str
    lead: tuple[str, ...] = ()
    blocks: tuple[Block, ...] = field(default=())
    closing: tuple[str, ...] = ()


def marked(
    values: Sequence[float], texts: Sequence[str], *, highest: bool = True
) -> tuple[Cell, ...]:
    """Return a cell per run, the best marked where there are several that read differently.

    Args:
        values: to compare; nan is never the best.
        texts: what the cells say; cells that read like the best are as good.
        highest: whether the highest is the best, and not the lowest.

    Example:
        >>> [cell.best for cell in marked([0.2, 0.3, float("nan")], ["20", "30", "–"])]
        [False, True, False]
    """
    seen = [(value, text) for value, text in zip(values, texts, strict=True) if value == value]
    best = (max if highest else min)(seen, default=(0.0, ""))[1]
    telling = len({text for _, text in seen}) > 1
    return tuple(Cell(text, best=telling and text == best) for text in texts)
