"""What the page draws: the image, small enough for a screen, and maps of the same size."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from lookwider.images import displayable
from lookwider.web.studio.segmented import Pixels, Segmented

LONGEST = 1600
"""Pixels of the longer side of what is drawn, at most."""

LOSSLESS_PIXELS = 200_000
"""Up to which a picture is a PNG."""


def shrinking(size: tuple[int, int], longest: int = LONGEST) -> int:
    """Return by which whole factor an image is made smaller to be drawn.

    Example:
        >>> shrinking((720, 960)), shrinking((2000, 3300))
        (1, 3)
    """
    return -(-max(size) // longest)


def picture(image: Pixels, factor: int) -> tuple[bytes, str]:
    """Return the image as a PNG or, when it is no small one, a JPEG; and which of them.

    A pixel is the mean colour of a cell of ``factor`` x ``factor`` pixels.
    """
    shown = Image.fromarray(displayable(image))
    if factor > 1:
        shown = shown.reduce(factor)
    if shown.width * shown.height <= LOSSLESS_PIXELS:
        return png(np.asarray(shown)), "image/png"
    buffer = io.BytesIO()
    shown.save(buffer, format="JPEG", quality=90, subsampling=0)
    return buffer.getvalue(), "image/jpeg"


def maps(segmented: Segmented, factor: int) -> bytes:
    """Return a PNG whose red is the class, green its probability, blue the next likely class.

    A pixel of the map is the one in the middle of its cell of ``factor`` x ``factor`` pixels. With
    a single class the next likely one is that too.
    """
    next_likely = segmented.ranked[min(1, len(segmented.ranked) - 1)]
    channels = (segmented.prediction.labels, segmented.shares[0], next_likely)
    return png(np.stack([thinned(channel, factor) for channel in channels], axis=2))


def field_map(shares: npt.NDArray[np.float32], factor: int) -> bytes:
    """Return a grey PNG of how much each pixel matters, 255 for the most."""
    return png((thinned(shares, factor).clip(0, 1) * 255).round().astype(np.uint8))


def thinned(values: npt.NDArray[np.generic], factor: int) -> npt.NDArray[np.generic]:
    """Return the values (H, W) in the middle of cells; those at the end may be smaller.

    Example:
        >>> thinned(np.arange(5)[None], 2)
        array([[1, 3, 4]])
    """
    rows, cols = (
        np.minimum(np.arange(0, length, factor) + factor // 2, length - 1)
        for length in values.shape
    )
    return values[np.ix_(rows, cols)]


def png(pixels: npt.NDArray[np.generic]) -> bytes:
    """Return uint8 pixels as a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()
