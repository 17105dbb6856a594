"""What a page can be given beside a run and its evaluation."""

from __future__ import annotations

from dataclasses import dataclass

from lookwider.evaluation.pictures import Example


@dataclass(frozen=True)
class BreakdownRow:
    """One group of pixels.

    Attributes:
        name: of the group.
        explanation: what it is, in a sentence.
        pixels: how many there are.
        shares: of the pixels, for each of the breakdown's parts; they sum to 1.
    """

    name: str
    explanation: str
    pixels: int
    shares: tuple[float, ...]


@dataclass(frozen=True)
class Breakdown:
    """The result by groups of pixels.

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


@dataclass(frozen=True)
class Gallery:
    """Images with truth, prediction and errors.

    Attributes:
        title: of the section.
        lead: what they are.
        examples: the images.
    """

    title: str
    lead: str
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class Command:
    """A command to go on with, and what it does."""

    what: str
    command: str
