"""A sheet of a few samples with their labels laid over, and a legend."""

from __future__ import annotations

from collections.abc import Sequence, Set

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lookwider.classes import IGNORE_INDEX, Classes
from lookwider.data.sample import LabelArray, Sample
from lookwider.images import displayable, label_image, overlay

SAMPLES = 6
CELL = 320
GAP = 10
LINE = 24
BACKGROUND, INK, FAINT = (250, 250, 248), (30, 30, 34), (120, 120, 128)
IGNORED = (220, 220, 220)

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def choose(present: Sequence[Set[int]], count: int = SAMPLES) -> list[int]:
    """Return the positions of a few samples that together show the most classes.

    Example:
        >>> choose([{0}, {0, 1, 2}, {3}], count=2)
        [1, 2]
    """
    chosen: list[int] = []
    seen: set[int] = set()
    while len(chosen) < min(count, len(present)):
        left = [i for i in range(len(present)) if i not in chosen]
        # of equals the one that is farthest from those chosen, so that all parts are seen
        best = max(
            left,
            key=lambda i: (
                len(present[i] - seen),
                min((abs(i - c) for c in chosen), default=0),
                -i,
            ),
        )
        chosen.append(best)
        seen |= present[best]
    return sorted(chosen)


def contact_sheet(
    samples: Sequence[Sample],
    splits: Sequence[str],
    classes: Classes,
    shares: Sequence[float],
    ignored: float,
) -> Image.Image:
    """Return one picture: each sample as image, label laid over, and label; then the legend.

    Args:
        samples: labelled samples.
        splits: the split of each.
        classes: names and colours.
        shares: share of the pixels by class; classes that never occur are left out of the legend.
        ignored: share of the pixels that are ignored.
    """
    font = ImageFont.load_default(size=14)
    rows = [_row(s, split, classes, font) for s, split in zip(samples, splits, strict=True)]
    legend = _legend(classes, shares, ignored, font)
    height = sum(part.height + GAP for part in (*rows, legend)) + GAP
    sheet = Image.new("RGB", (3 * CELL + 4 * GAP, height), BACKGROUND)
    top = GAP
    for part in (*rows, legend):
        sheet.paste(part, (GAP, top))
        top += part.height + GAP
    return sheet


def _row(sample: Sample, split: str, classes: Classes, font: _Font) -> Image.Image:
    height, width = sample.image.shape[:2]
    size = (CELL, max(1, min(3 * CELL, round(height * CELL / width))))
    image = displayable(sample.image)
    label = sample.label
    assert label is not None  # the doctor shows labelled samples only
    cells = (
        Image.fromarray(image).resize(size, Image.Resampling.BILINEAR),
        overlay(image, label, classes).resize(size, Image.Resampling.BILINEAR),
        _shown(label, classes).resize(size, Image.Resampling.NEAREST),
    )
    row = Image.new("RGB", (3 * CELL + 2 * GAP, size[1] + LINE), BACKGROUND)
    text = f"{sample.name}   {split}   {height} x {width}"
    ImageDraw.Draw(row).text((0, 3), text, INK, font)
    for i, cell in enumerate(cells):
        row.paste(cell, (i * (CELL + GAP), LINE))
    return row


def _shown(label: LabelArray, classes: Classes) -> Image.Image:
    """Return the label in its colours, ignored pixels as a fine grey check."""
    colours = np.asarray(label_image(label, classes).convert("RGB")).copy()
    rows, columns = np.nonzero(label == IGNORE_INDEX)
    colours[rows, columns] = np.where((rows // 4 + columns // 4) % 2, 205, 235)[:, None]
    return Image.fromarray(colours)


def _legend(classes: Classes, shares: Sequence[float], ignored: float, font: _Font) -> Image.Image:
    shown = [i for i in range(len(classes)) if shares[i] > 0]
    entries = [(classes.palette[i], classes.names[i], f"{shares[i]:.2%}") for i in shown]
    entries.append((IGNORED, "ignored", f"{ignored:.2%}"))
    width, columns = 3 * CELL + 2 * GAP, 4
    lines = -(-len(entries) // columns)
    legend = Image.new("RGB", (width, lines * LINE), BACKGROUND)
    draw = ImageDraw.Draw(legend)
    step = width // columns
    for k, (colour, name, share) in enumerate(entries):
        left, top = k // lines * step, k % lines * LINE
        draw.rectangle((left, top + 4, left + 15, top + 19), colour, FAINT)
        text = _fitted(name, step - 90, font)
        draw.text((left + 22, top + 3), text, INK, font)
        draw.text((left + 30 + font.getlength(text), top + 3), share, FAINT, font)
    return legend


def _fitted(text: str, width: int, font: _Font) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"
