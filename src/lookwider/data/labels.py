"""Label files to class ids: every encoding in, one explicit class map, no silent class."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from lookwider.classes import Colour
from lookwider.data.readers.mat import read_mat_label
from lookwider.errors import DataError
from lookwider.images import MAX_PIXELS, open_image

LABEL_SUFFIXES = frozenset(
    {".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".npy", ".mat"}
    | {".jpg", ".jpeg"}  # listed so that they are found and refused with the reason
)
"""File names that are taken for labels, in lower case."""

LOSSY_FORMATS = frozenset({"JPEG", "MPO", "JPEG2000"})

Values = npt.NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class StoredLabel:
    """A label file as stored, before any class map.

    Attributes:
        values: (H, W) integers; 0xRRGGBB where ``encoding`` is ``"rgb"``.
        encoding: ``"index"`` for one number a pixel, ``"rgb"`` for a colour a pixel.
        palette: colour of each index of a palette file that is not just grey; else None.
        grey_rgb: whether an ``"index"`` label is a colour file without any colour.
    """

    values: Values
    encoding: Literal["index", "rgb"]
    palette: tuple[Colour, ...] | None = None
    grey_rgb: bool = False


def read_stored(path: str | os.PathLike[str]) -> StoredLabel:
    """Read a label file without interpreting its values.

    Colour files whose three channels are equal everywhere count as index files: that is how
    many tools store grey.

    Raises:
        DataError: the file is missing, damaged, lossy (JPEG) or holds no label.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".mat":
        return StoredLabel(read_mat_label(path), "index")
    if suffix == ".npy":
        return StoredLabel(_read_npy(path), "index")
    with open_image(path) as image:
        if image.format == "WEBP" and b"VP8 " in path.read_bytes()[:64]:
            raise DataError(_lossy(path, "lossy WEBP"))
        return decode_stored(image, path)


def decode_stored(image: Image.Image, path: Path) -> StoredLabel:
    """Return an open label image as `read_stored` does; ``path`` names it in errors."""
    jpeg_in_tiff = image.info.get("compression") in {"jpeg", "tiff_jpeg"}
    if image.format in LOSSY_FORMATS or jpeg_in_tiff:
        raise DataError(_lossy(path, str(image.format)))
    frames = getattr(image, "n_frames", 1)
    if frames != 1:
        raise DataError(f"label {path}: holds {frames} frames, expected one")
    ImageOps.exif_transpose(image, in_place=True)
    return _decode(image, path)


def _decode(image: Image.Image, path: Path) -> StoredLabel:
    if image.mode == "P":
        return StoredLabel(np.asarray(image), "index", _palette_of(image))
    if image.mode in {"1", "L"}:
        return StoredLabel(np.asarray(image, np.uint8), "index")
    if image.mode == "LA":
        return StoredLabel(np.asarray(image.getchannel(0)), "index")
    if image.mode.startswith("I"):
        return StoredLabel(np.asarray(image).astype(np.int32), "index")
    if image.mode in {"RGB", "RGBA", "PA"}:
        pixels = np.asarray(image.convert("RGB"))
        red = pixels[:, :, 0]
        if np.array_equal(red, pixels[:, :, 1]) and np.array_equal(red, pixels[:, :, 2]):
            return StoredLabel(red, "index", grey_rgb=True)
        return StoredLabel(pack_rgb(pixels), "rgb")
    raise DataError(
        f"label {path}: pixels are of mode {image.mode!r}, expected grey, palette or RGB; "
        "save it as an 8-bit PNG of class ids"
    )


def pack_rgb(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
    """Pack colours into one number each, 0xRRGGBB.

    Shape:
        (..., 3) uint8 -> (...) int32

    Example:
        >>> hex(pack_rgb(np.array([128, 64, 32], np.uint8)))
        '0x804020'
    """
    wide = pixels.astype(np.int32)
    packed: npt.NDArray[np.int32] = wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
    return packed


def unpack_rgb(value: int) -> Colour:
    """Return the colour of a packed number.

    Example:
        >>> unpack_rgb(0x804020)
        (128, 64, 32)
    """
    return value >> 16 & 255, value >> 8 & 255, value & 255


def _palette_of(image: Image.Image) -> tuple[Colour, ...] | None:
    flat = image.getpalette("RGB") or []
    colours = tuple(zip(flat[::3], flat[1::3], flat[2::3], strict=True))
    return colours if any(len(set(colour)) > 1 for colour in colours) else None


def _lossy(path: Path, kind: str) -> str:
    return (
        f"label {path}: stored as {kind}, with losses that mix class ids at every border; "
        "export the labels again as PNG"
    )


def _read_npy(path: Path) -> Values:
    try:
        array = np.load(path, allow_pickle=False, mmap_mode="r")
        if array.ndim == 3 and array.shape[2] == 1:
            array = array[:, :, 0]
        if array.ndim != 2 or array.size > MAX_PIXELS or array.dtype.kind not in "biu":
            raise DataError(
                f"label {path}: got {array.dtype} of shape {array.shape}, expected integers (H, W)"
            )
        values: Values = np.array(array, np.uint8 if array.dtype == bool else None)
    except DataError:
        raise
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"label {path}: not a readable .npy array: {error}") from error
    return values


MANY_COLOURS = 1024
"""A label with more colours than this is a photo, or was blurred or compressed."""


@dataclass(frozen=True)
class LabelValues:
    """What one label file holds.

    Attributes:
        encoding: as `StoredLabel.encoding`.
        counts: pixels by stored value.
        palette: colour by value, of the values that occur in a palette file; else empty.
        grey_rgb: as `StoredLabel.grey_rgb`.
    """

    encoding: Literal["index", "rgb"]
    counts: dict[int, int]
    palette: dict[int, Colour] = field(default_factory=dict)
    grey_rgb: bool = False

    def colour_counts(self) -> dict[int, int] | None:
        """Return pixels by packed colour, as a viewer shows the file; None for wide numbers."""
        if self.encoding == "rgb":
            return self.counts
        if any(not 0 <= value <= 255 for value in self.counts):
            return None
        colours: dict[int, int] = {}
        for value, pixels in self.counts.items():
            colour = self.palette.get(value, (value, value, value))
            packed = int(pack_rgb(np.array(colour, np.uint8)))
            colours[packed] = colours.get(packed, 0) + pixels
        return colours


def count_values(stored: StoredLabel, where: str) -> LabelValues:
    """Count the pixels of each stored value.

    Raises:
        DataError: a colour label has far too many colours to be one.
    """
    if stored.values.dtype == np.uint8:
        every = np.bincount(stored.values.ravel(), minlength=256)
        values, counts = np.flatnonzero(every), every[every > 0]
    else:
        values, counts = np.unique(stored.values, return_counts=True)
    if len(values) > MANY_COLOURS:
        raise DataError(
            f"{where}: holds {len(values):,} different values, expected one a class; it is a "
            "photo, or was saved with blur or losses: export it again as PNG without smoothing"
        )
    found = {int(v): int(n) for v, n in zip(values, counts, strict=True)}
    palette = stored.palette or ()
    return LabelValues(
        stored.encoding,
        found,
        {v: palette[v] for v in found if 0 <= v < len(palette)},
        stored.grey_rgb,
    )


def format_value(value: int, encoding: str) -> str:
    """Return a stored value as people write it: a number, or a colour as #rrggbb."""
    return f"#{value:06x}" if encoding == "rgb" else str(value)
