"""Windows of images that are never held whole: the same values as `read_image` gives."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from lookwider.errors import DataError
from lookwider.images import MAX_BANDS, check_file, open_image, read_image, supported_pixels
from lookwider.inference.large.colours import ORIENTATION
from lookwider.inference.large.rasters import TIFF, Georeference, Raster, row_slices

LYING = frozenset({5, 6, 7, 8})
"""EXIF's orientations that exchange rows and columns."""


class WindowedImage(Protocol):
    """An image of which windows are read.

    Attributes:
        path: the file.
        size: (height, width).
        bands: of the pixels as they are read.
        dtype: of the pixels as they are read.
        georeference: where it lies on the earth, if the file says so.
        random_access: whether a window costs about what it holds, wherever it is.
        other_colours: whether another decoder than `read_image`'s gives them, a few levels off.
    """

    path: Path
    size: tuple[int, int]
    bands: int
    dtype: np.dtype[np.generic]
    georeference: Georeference | None
    random_access: bool
    other_colours: bool

    def read(self, rows: slice, cols: slice) -> npt.NDArray[np.generic]:
        """Return ``read_image(path)[rows, cols]``.

        Shape:
            (rows, cols, bands).

        Raises:
            DataError: that part is damaged or missing; it names rows and columns.
        """
        ...

    def strips(self, height: int) -> Iterator[tuple[slice, npt.NDArray[np.generic]]]:
        """Yield so many rows at a time, from top to bottom, and which ones they are.

        Raises:
            DataError: a part is damaged or missing.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class ArrayFile:
    """Windows of an array in a ``.npy`` file; see `WindowedImage`."""

    georeference: Georeference | None = None
    random_access = True
    other_colours = False

    def __init__(self, path: Path) -> None:
        check_file(path)
        self.path = path
        mapped = self._mapped()
        if mapped.ndim != 3 or 0 in mapped.shape:
            raise DataError(
                f"{path}: got an array of shape {mapped.shape}, expected (H, W) or (H, W, C)"
            )
        self.size = int(mapped.shape[0]), int(mapped.shape[1])
        self.bands = int(mapped.shape[2])
        self.dtype = supported_pixels(mapped[:1, :1], path).dtype

    def strips(self, height: int) -> Iterator[tuple[slice, npt.NDArray[np.generic]]]:
        """Yield so many rows at a time."""
        for rows in row_slices(self.size[0], height):
            yield rows, self.read(rows, slice(0, self.size[1]))

    def read(self, rows: slice, cols: slice) -> npt.NDArray[np.generic]:
        """Return the pixels of a window."""
        # Mapped anew each time: what was read counts as the process's memory while it is mapped.
        return supported_pixels(np.array(self._mapped()[rows, cols]), self.path)

    def _mapped(self) -> npt.NDArray[np.generic]:
        """Return the file as (H, W, C), bands last; other shapes as they are."""
        try:
            mapped = np.load(self.path, mmap_mode="r", allow_pickle=False)
        except Exception as error:  # numpy raises many kinds on damaged files
            raise DataError(f"{self.path}: not a readable .npy array: {error}") from error
        if not isinstance(mapped, np.ndarray):
            raise DataError(f"{self.path}: holds several arrays, expected one (.npy, not .npz)")
        array: npt.NDArray[np.generic] = mapped
        if array.ndim == 2:
            return array[:, :, None]
        if array.ndim == 3 and array.shape[0] <= MAX_BANDS < min(array.shape[1:]):
            return array.transpose(1, 2, 0)
        return array

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class DecodedImage:
    """An ordinary image, decoded whole by Pillow whenever it is read; see `WindowedImage`.

    So its pixels are those of `read_image`, whichever decoder GDAL has; turned images are turned
    upright, and interlaced, progressive and CMYK ones are read like all others.
    """

    georeference: Georeference | None = None
    random_access = False
    other_colours = False
    bands = 3
    dtype: np.dtype[np.generic] = np.dtype(np.uint8)

    def __init__(self, path: Path, size: tuple[int, int]) -> None:
        self.path, self.size = path, size

    def read(self, rows: slice, cols: slice) -> npt.NDArray[np.generic]:
        """Return the pixels of a window."""
        return read_image(self.path)[rows, cols]

    def strips(self, height: int) -> Iterator[tuple[slice, npt.NDArray[np.generic]]]:
        """Yield so many rows at a time; the image is held until the last."""
        pixels = read_image(self.path)
        for rows in row_slices(self.size[0], height):
            yield rows, pixels[rows]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def open_windows(
    path: str | os.PathLike[str], *, as_stored: bool = False, whole: int = 0
) -> WindowedImage:
    """Open an image to read windows of it: GeoTIFF, BigTIFF and TIFF, PNG, JPEG, .npy.

    Args:
        path: the file.
        as_stored: take the samples of a raster for the pixels, whatever its header says.
        whole: ordinary images, TIFFs apart, of at most so many pixels are decoded whole.

    Raises:
        DataError: it is missing or damaged, or of a format or kind that cannot be read in parts.
        MissingExtraError: rasterio is not installed.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return ArrayFile(path)
    if suffix not in TIFF and whole:
        with open_image(path, any_size=True) as picture:
            few = picture.width * picture.height <= whole
            if few and picture.mode[0] not in "IF":  # of those Pillow's and GDAL's are the same
                size = picture.height, picture.width
                lying = picture.getexif().get(ORIENTATION) in LYING
                return DecodedImage(path, size[::-1] if lying else size)
    return Raster(path, as_stored=as_stored)


def image_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return an image's (height, width) without reading its pixels.

    Raises:
        DataError: it is missing or damaged, or of a kind that cannot be read in parts.
        MissingExtraError: rasterio is not installed, and Pillow cannot read its header.
    """
    path = Path(path)
    if path.suffix.lower() != ".npy":
        try:
            with open_image(path, any_size=True) as picture:
                return picture.height, picture.width
        except DataError:
            if path.suffix.lower() not in TIFF:
                raise
    with open_windows(path) as image:
        return image.size
