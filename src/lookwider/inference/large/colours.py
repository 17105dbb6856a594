"""What the samples of an image file mean: from samples as stored to the pixels of `read_image`.

Pillow reads the header, as it does for `read_image`, and nothing else of the file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from lookwider.errors import DataError
from lookwider.images import open_image

Pixels = npt.NDArray[np.generic]
Meaning = Callable[[Pixels], Pixels]
"""From samples as they are stored, (h, w, C), to pixels."""

GREY = {"1": 255, "L": 1, "L;2": 85, "L;4": 17, "LX": 1, "LA": 1, "LA;16B": 1}
"""Pillow's raw modes of grey, and what a step of the stored value is worth of 255."""

COLOUR = frozenset({"RGB", "RGBX", "RGBXX", "RGBXXX", "RGBA", "RGBAX", "RGBAXX"})
"""Raw modes that begin with red, green and blue."""

PALETTE = frozenset({"P", "P;1", "P;2", "P;4", "PX"})
INVERTED = {"1;I": "1", "L;I": "L", "L;2I": "L;2", "L;4I": "L;4"}
"""Raw modes of grey from white to black."""

ORIENTATION = 0x0112
"""EXIF's tag."""


@dataclass(frozen=True)
class Header:
    """What Pillow says of a file.

    Attributes:
        mode: of the image.
        raw: how its samples are stored, as Pillow names it.
        pages: how many images the file holds.
        palette: mode and bytes of the palette, where there is one.
        upright: whether its first row is the top.
        gradual: whether it is stored from coarse to fine.
    """

    mode: str
    raw: str
    pages: int
    palette: tuple[str, bytes] | None
    upright: bool
    gradual: bool


def meaning_of(path: Path) -> Meaning | None:
    """Return what turns samples into RGB where `read_image` does; None where they are kept.

    Raises:
        DataError: the file is damaged, or of a kind that cannot be read in parts.
    """
    tiff = path.suffix.lower() in {".tif", ".tiff"}
    try:
        header = _header(path)
    except DataError:
        if not tiff:
            raise
        return None  # bands that Pillow cannot read
    if not header.upright:
        raise DataError(
            f"{path}: stored turned or mirrored (EXIF orientation), expected upright; "
            "turn it first, for instance: mogrify -auto-orient"
        )
    if header.gradual:
        raise DataError(
            f"{path}: stored from coarse to fine (interlaced or progressive), which has to be "
            "decoded whole, expected row after row; convert it: gdal_translate -co TILED=YES"
        )
    if (tiff and header.pages > 1) or header.mode[0] in "IF":
        return None
    return _colours(header, path)


def _header(path: Path) -> Header:
    with open_image(path, any_size=True) as image:
        tiles = getattr(image, "tile", [])  # how Pillow would decode it
        arguments = tiles[0][3] if tiles else ""
        # A PNG's EXIF is asked of what its header holds: getexif() would decode the image.
        has_exif = image.format != "PNG" or "exif" in image.info
        orientation = image.getexif().get(ORIENTATION, 1) if has_exif else 1
        return Header(
            mode=image.mode,
            raw=str(arguments if isinstance(arguments, str) else (*(arguments or ()), "")[0]),
            pages=getattr(image, "n_frames", 1),
            palette=_palette(image),
            upright=orientation in {0, 1},
            gradual=bool(image.info.get("interlace") or image.info.get("progressive")),
        )


def _palette(image: Image.Image) -> tuple[str, bytes] | None:
    if image.palette is None:
        return None
    mode, palette = image.palette.getdata()
    return mode, bytes(palette)


def _colours(header: Header, path: Path) -> Meaning:
    """Return what makes 8-bit RGB of samples."""
    raw = header.raw
    if raw in INVERTED:
        step = GREY[INVERTED[raw]]
        return lambda samples: _repeated(255 - _eight_bits(samples[:, :, :1]) * np.uint8(step))
    if raw in GREY:
        step = GREY[raw]
        return lambda samples: _repeated(_eight_bits(samples[:, :, :1]) * np.uint8(step))
    if raw.partition(";16")[0] in COLOUR:
        return lambda samples: _eight_bits(samples[:, :, :3])
    if raw in PALETTE and header.palette is not None:
        table = _palette_table(*header.palette)
        return lambda samples: table[samples[:, :, 0]]
    raise DataError(
        f"{path}: colours stored as {header.mode} ({raw}) cannot be read in tiles, expected grey, "
        "RGB or a palette; convert it to an RGB TIFF"
    )


def _eight_bits(samples: Pixels) -> npt.NDArray[np.uint8]:
    """Return samples of 16 bits as 8, as Pillow does; others as they are."""
    if samples.dtype == np.uint16:
        samples = samples.astype(np.uint16) >> np.uint16(8)
    return samples.astype(np.uint8)


def _repeated(grey: Pixels) -> Pixels:
    return np.repeat(grey, 3, axis=2)


def _palette_table(mode: str, palette: bytes) -> npt.NDArray[np.uint8]:
    """Return the (256, 3) colours of a palette as Pillow reads them."""
    ramp = Image.frombytes("P", (256, 1), bytes(range(256)))
    ramp.putpalette(palette, mode)
    table: npt.NDArray[np.uint8] = np.asarray(ramp.convert("RGB"), np.uint8)[0]
    return table
