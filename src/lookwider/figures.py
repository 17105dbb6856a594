"""Figures as PNG files."""

from __future__ import annotations

import io

from matplotlib.figure import Figure
from matplotlib.text import Text

MARGIN = 0.1
"""Inches around what is drawn."""


def png(figure: Figure, *, margin: float = MARGIN) -> bytes:
    """Return a figure as a PNG file, cut to what is drawn, with its texts as they are written.

    Matplotlib takes what stands between two dollar signs for mathematics, and fails where it is
    none. Names of files, runs and classes may hold any sign, so no text of a figure is read so.

    Args:
        figure: changed: its texts are no longer read as mathematics.
        margin: inches around what is drawn.

    Example:
        >>> figure = Figure(figsize=(1, 1))
        >>> _ = figure.text(0, 0, "x$_{y$")
        >>> png(figure)[1:4]
        b'PNG'
    """
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_parse_math(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight", pad_inches=margin)
    return buffer.getvalue()
