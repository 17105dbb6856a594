"""Read and write images and label maps safely: any size, any mode, hostile files included."""

from __future__ import annotations

import io
import math
import os
import struct
import tempfile
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from lookwider.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    from lookwider.classes import Classes

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".gif", ".npy"}
)
"""File names that are taken for images, in lower case."""

MAX_PIXELS = 1_000_000_000
"""Larger images are refused before they are decoded; they need tiled reading."""

MAX_BANDS = 32
"""An array whose first axis is at most this, and the others longer, has its bands first."""

SAMPLES_PER_PIXEL = 277
"""TIFF's tag; Pillow takes the first of several 16-bit bands that lie one after the other."""

DAMAGE = (
    OSError,
    SyntaxError,
    EOFError,
    ValueError,
    LookupError,
    ArithmeticError,
    TypeError,
    AttributeError,
    NotImplementedError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What Pillow's readers raise on damaged files."""


_opening = threading.Lock()


@contextmanager
def open_image(
    path: Path, content: bytes | None = None, *, any_size: bool = False
) -> Iterator[Image.Image]:
    """Open an image with Pillow; every failure becomes a `DataError` that names the file.

    ``content`` holds the file's bytes where it is no file of its own; ``path`` then names it.
    ``any_size`` is for those who read the header only.
    """
    if content is None:
        check_file(path)
    try:
        with _open_unlimited(path if content is None else io.BytesIO(content)) as image:
            if not any_size:
                check_pixels(image.width * image.height, path)
            yield image
    except DataError:
        raise
    except PermissionError as error:
        raise DataError(f"{path}: no permission to read it") from error
    except UnidentifiedImageError as error:
        size = path.stat().st_size if content is None else len(content)
        raise DataError(f"{path}: not an image that can be read ({size} bytes)") from error
    except DAMAGE as error:
        raise DataError(f"{path}: damaged or truncated image: {error}") from error


def check_file(path: Path) -> None:
    """Refuse what cannot be read as a file; a pipe would be waited for without end."""
    if path.is_dir():
        raise DataError(f"{path}: is a folder, expected an image file")
    if not path.exists():
        raise DataError(f"{path}: no such file")
    if not path.is_file():
        raise DataError(f"{path}: is a pipe or device, expected an image file")


def _open_unlimited(source: Path | io.BytesIO) -> Image.Image:
    """Read a header without Pillow's own limit, which is lower than `MAX_PIXELS`.

    The limit is a global of Pillow's, so one thread at a time.
    """
    with _opening:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(source)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def check_pixels(pixels: int, path: Path) -> None:
    """Raise a `DataError` for an image that is too large to be decoded whole."""
    if pixels > MAX_PIXELS:
        raise DataError(
            f"{path}: {pixels:,} pixels, expected at most {MAX_PIXELS:,}; larger images are "
            "segmented in tiles: lookwider predict --max-memory 4GB"
        )


def read_image(path: str | os.PathLike[str]) -> npt.NDArray[np.generic]:
    """Read an image as (H, W, C): RGB uint8 of ordinary files, all bands of TIFF and .npy.

    The EXIF orientation is applied; transparency is dropped; 8-bit grey becomes RGB. 16-bit grey
    and many-band images keep their depth and bands; PNGs of 16 bits a colour are read as 8. Of
    an animation the first frame is read.

    Raises:
        DataError: the file is missing, damaged, truncated, empty or too large.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return _as_bands(_read_npy(path), path)
    if suffix in {".tif", ".tiff"}:
        return _read_tiff(path)
    with open_image(path) as image:
        return pixels_of(image, path)


def pixels_of(image: Image.Image, path: Path) -> npt.NDArray[np.generic]:
    """Return an open image as `read_image` does; ``path`` names it in errors."""
    if image.mode.startswith("I") or image.mode == "F":
        return _as_bands(np.asarray(image), path)
    return _as_rgb(image)


def _as_rgb(image: Image.Image) -> npt.NDArray[np.uint8]:
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # straight to RGB, Pillow warns
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _read_npy(path: Path) -> npt.NDArray[np.generic]:
    check_file(path)
    try:
        # Mapped first: a header that promises more than the file holds allocates nothing.
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # numpy raises many kinds on damaged files
        raise DataError(f"{path}: not a readable .npy array: {error}") from error
    if not isinstance(mapped, np.ndarray):
        raise DataError(f"{path}: holds several arrays, expected one (.npy, not .npz)")
    check_pixels(mapped.size // max(1, min(mapped.shape, default=1)), path)
    array: npt.NDArray[np.generic] = np.array(mapped)
    return array


def _read_tiff(path: Path) -> npt.NDArray[np.generic]:
    """Read a TIFF with Pillow where it can (8-bit colour), with tifffile otherwise."""
    try:
        with open_image(path) as image:
            pages = getattr(image, "n_frames", 1)  # several: one band a page, for tifffile
            if pages == 1 and image.mode in {"1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LA"}:
                return _as_rgb(image)
            samples = getattr(image, "tag_v2", {}).get(SAMPLES_PER_PIXEL, 1)
            if pages == samples == 1 and image.mode.startswith("I;16"):
                return _as_bands(np.asarray(image).astype(np.uint16), path)
    except DataError:
        if not path.is_file():
            raise
    try:
        import tifffile
    except ImportError as error:
        raise MissingExtraError("tifffile", "geo", f"reading {path} (many bands)") from error
    try:
        with tifffile.TiffFile(path) as file:
            shape = file.series[0].shape
            check_pixels(math.prod(shape) // max(1, min(shape)), path)
            return _as_bands(file.asarray(), path)
    except DataError:
        raise
    except Exception as error:  # tifffile raises many kinds on damaged files
        raise DataError(f"{path}: damaged or truncated image: {error}") from error


def _as_bands(array: npt.NDArray[np.generic], path: Path) -> npt.NDArray[np.generic]:
    """Return the array as (H, W, C) of a supported type.

    Bands first are recognised by sides longer than `MAX_BANDS`.
    """
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or 0 in array.shape:
        raise DataError(
            f"{path}: got an array of shape {array.shape}, expected (H, W) or (H, W, C)"
        )
    if array.shape[0] <= MAX_BANDS < min(array.shape[1:]):
        array = array.transpose(1, 2, 0)  # bands first, as GeoTIFF readers give it
    return supported_pixels(array, path)


def supported_pixels(array: npt.NDArray[np.generic], path: Path) -> npt.NDArray[np.generic]:
    """Return pixels as uint8, uint16 or float32; ``path`` names them in errors.

    Raises:
        DataError: they are of another type, or not finite.
    """
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype == np.int32 and array.min() >= 0 and array.max() <= 65535:
        array = array.astype(np.uint16)  # how Pillow reads some 16-bit files
    if array.dtype == np.float64:
        with np.errstate(over="ignore"):  # what becomes infinite is refused below
            array = array.astype(np.float32)
    if array.dtype not in (np.uint8, np.uint16, np.float32):
        raise DataError(f"{path}: pixels are {array.dtype}, expected uint8, uint16 or float32")
    if array.dtype == np.dtype(np.float32) and not np.isfinite(array).all():
        raise DataError(f"{path}: holds NaN or infinite pixels; fill them before use")
    return array


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that becomes it when the block ends well.

    A reader sees the old file or the whole new one, never half of it; on an error nothing stays.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:64]}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_image(path: str | os.PathLike[str], image: Image.Image) -> None:
    """Write a PNG (or what the suffix says) atomically."""
    buffer = io.BytesIO()
    image.save(buffer, format=Image.registered_extensions().get(Path(path).suffix.lower(), "PNG"))
    write_bytes(path, buffer.getvalue())


def label_image(labels: npt.NDArray[np.uint8], classes: Classes) -> Image.Image:
    """Return a palette image: the pixels are class ids, shown in the classes' colours."""
    image = Image.fromarray(labels)
    image.putpalette(classes.palette_array().tobytes())
    return image


def overlay(
    image: npt.NDArray[np.generic],
    labels: npt.NDArray[np.uint8],
    classes: Classes,
    opacity: float = 0.55,
) -> Image.Image:
    """Return the image with the labels' colours laid over; ignored pixels stay as they are."""
    share = np.where(np.arange(256) < len(classes), opacity, 0.0)[:, None].astype(np.float32)
    kept, laid = 1 - share, classes.palette_array() * share  # of each id, not of each pixel
    mixed = displayable(image) * kept[labels]
    mixed += laid[labels]
    return Image.fromarray(mixed.round(out=mixed).astype(np.uint8))


def displayable(image: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    """Return (H, W, 3) uint8 for looking at: the first three bands, stretched when not 8 bit."""
    bands = image[:, :, :3] if image.shape[2] >= 3 else np.repeat(image[:, :, :1], 3, axis=2)
    if bands.dtype == np.uint8:
        return np.asarray(bands, np.uint8)
    values = bands.astype(np.float32)
    low, high = (float(v) for v in np.percentile(values, (1, 99)))
    return ((values - low) / max(high - low, 1e-12) * 255).clip(0, 255).astype(np.uint8)
