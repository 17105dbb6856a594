"""From the bytes of a request to pixels: formats by content, limits before decoding."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lookwider.errors import DataError, MissingExtraError
from lookwider.images import open_image, pixels_of, read_image
from lookwider.inference.large.reading import image_size
from lookwider.web.problems import ProblemError
from lookwider.web.tiff_pages import check_pages, decoded_bytes

SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"BM": "BMP",
    **{b"P%d" % kind: "PPM" for kind in range(1, 7)},
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"\x93NUMPY": "NPY",
}
"""How the files of each format begin; WebP has its own after a length."""

FORMATS = ("PNG", "JPEG", "WebP", "TIFF", "GIF", "BMP", "PPM", "NPY")

IN_FILES = {"TIFF": ".tif", "NPY": ".npy"}
"""Formats that are read from a file, in all their bands and depths."""

PIXEL_BYTES = 16
"""Held of each pixel of an image from when it is decoded: it, its answer and their copies."""

IMAGE = Path("image")
"""What messages call the image."""


@dataclass(frozen=True)
class Upload:
    """An image as it came, with what its header says.

    Attributes:
        content: all its bytes.
        format: one of `FORMATS`.
        size: (height, width).
        band_bytes: that its pixels take where there may be many bands; 0 for other formats.
    """

    content: bytes
    format: str
    size: tuple[int, int]
    band_bytes: int = 0

    @property
    def nbytes(self) -> int:
        """Bytes that are held from when it is decoded, at most."""
        return self.size[0] * self.size[1] * PIXEL_BYTES + self.band_bytes


def read_header(content: bytes, max_pixels: int) -> Upload:
    """Return what an image is and how large, without decoding it.

    Raises:
        ProblemError: 415 when it is of no known format, 422 when it is damaged, 413 when too large.
    """
    kind = _format(content)
    band_bytes = 0
    with _told(kind):
        if kind in IN_FILES:
            if kind == "TIFF":
                check_pages(content)
            with _file(content, IN_FILES[kind]) as path:
                size = image_size(path)
                band_bytes = decoded_bytes(path) if kind == "TIFF" else len(content)
        else:
            with open_image(IMAGE, content, any_size=True) as image:
                if (image.format or "").upper() not in {kind.upper(), "MPO", "DIB"}:
                    raise DataError("image: damaged or truncated image")
                size = image.height, image.width
    if size[0] * size[1] > max_pixels:
        raise ProblemError(
            413,
            "Image too large",
            got=f"an image of {size[0]} x {size[1]} pixels",
            expected=f"at most {max_pixels:,} pixels",
            fix="make it smaller, or cut it into parts",
        )
    if band_bytes > max_pixels * PIXEL_BYTES:
        raise ProblemError(
            413,
            "Image too large",
            got=f"an image of {size[0]} x {size[1]} pixels whose bands are {band_bytes:,} bytes",
            expected=f"at most {max_pixels * PIXEL_BYTES:,} bytes, decoded",
            fix="leave out bands, or cut it into parts",
        )
    return Upload(content, kind, size, band_bytes)


def decode(upload: Upload) -> npt.NDArray[np.generic]:
    """Return an image's pixels as `read_image` would, (H, W, C).

    Raises:
        ProblemError: it is damaged or holds no such pixels.
    """
    with _told(upload.format):
        pixels = _pixels(upload)
        if math.prod(pixels.shape[:2]) != math.prod(upload.size):  # turned ones have as many
            raise DataError(f"image: an array of shape {pixels.shape}, not what its header says")
    return pixels


def _pixels(upload: Upload) -> npt.NDArray[np.generic]:
    if upload.format in IN_FILES:
        with _file(upload.content, IN_FILES[upload.format]) as path:
            return read_image(path)
    with open_image(IMAGE, upload.content) as image:
        return pixels_of(image, IMAGE)


def _format(content: bytes) -> str:
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WebP"
    for signature, kind in SIGNATURES.items():
        if content.startswith(signature):
            return kind
    begin = f"that begin with {content[:8].hex(' ')}" if content else "and no image"
    raise ProblemError(
        415,
        "Not an image",
        got=f"{len(content)} bytes {begin}",
        expected=f"an image: {', '.join(FORMATS)}",
        fix="send the file's own bytes as the body, or as the field 'image' of a form",
    )


@contextmanager
def _file(content: bytes, suffix: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="lookwider-") as folder:
        path = (Path(folder) / "image").with_suffix(suffix)
        path.write_bytes(content)
        yield path


@contextmanager
def _told(kind: str) -> Iterator[None]:
    """Turn errors of reading into problems; what libraries say of themselves stays here."""
    try:
        yield
    except MissingExtraError as error:
        raise ProblemError(
            415,
            "Not readable here",
            got=f"a {kind} image with many bands or of an unusual kind",
            expected="one that this service has the libraries for",
            fix="send a PNG or JPEG, or ask who runs the service for the extra 'geo'",
        ) from error
    except DataError as error:
        raise ProblemError(
            422,
            "Image not readable",
            got=f"a {kind} image that is {_reason(str(error))}",
            expected="a whole image of 8 or 16 bits, or finite float32 values",
            fix="open and save it anew, for instance as PNG",
        ) from error


def _reason(message: str) -> str:
    """Return which of the known reasons a message gives, without names of files and libraries."""
    if "holds NaN" in message:
        return "not finite everywhere"
    for known in ("pixels are", "an array of shape", "several arrays"):
        if known in message:
            return "of another kind of pixels or shape"
    return "damaged or truncated"
