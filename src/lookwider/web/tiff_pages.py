"""A look at a TIFF's pages, before a reader decodes them."""

from __future__ import annotations

import math
import struct
from pathlib import Path

from lookwider.errors import DataError

MOST_PAGES = 256
"""Readers compare each page with all before it, so a long chain takes its length squared."""


def check_pages(content: bytes) -> None:
    r"""Refuse a TIFF whose pages are more than `MOST_PAGES`, or do not end.

    Raises:
        DataError: they do, or lie outside the file.

    Example:
        >>> check_pages(b"II*\0" + (8).to_bytes(4, "little") + bytes(6))
    """
    order = "<" if content[:2] == b"II" else ">"
    big = content[2:4] in (b"+\0", b"\0+")
    count, entry, link = ("Q", 20, "Q") if big else ("H", 12, "I")
    try:
        (place,) = struct.unpack_from(order + link, content, 8 if big else 4)
        for _ in range(MOST_PAGES + 1):
            if place == 0:
                return
            (entries,) = struct.unpack_from(order + count, content, place)
            after = place + struct.calcsize(order + count) + entries * entry
            (place,) = struct.unpack_from(order + link, content, after)
    except (struct.error, OverflowError) as error:
        raise DataError("image: damaged or truncated image") from error
    raise DataError(f"image: damaged or truncated image: more than {MOST_PAGES} pages")


def decoded_bytes(path: Path) -> int:
    """Return how many bytes the bands of a TIFF take, on all its pages; 0 if it is not known.

    A small file may promise very many. What tifffile knows nothing of it does not decode either,
    and Pillow reads four bands of 8 bits at most.
    """
    try:
        import tifffile

        with tifffile.TiffFile(path) as file:
            series = file.series[0]
            return math.prod(series.shape) * int(series.dtype.itemsize)
    except Exception:  # not installed, or one of the many kinds that damaged files raise
        return 0
