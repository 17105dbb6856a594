"""Windows of images that are never held whole: the same values as `read_image` gives."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from lookwider.errors import DataError
from lookwider.images import MAX_BANDS, check_file, open_image, supported_pixels
from lookwider.inference.large.rasters import Georeference, Raster


class WindowedImage(Protocol):
    """An image of which windows are read.

    Attributes:
        path: the file.
        size: (height, width).
        bands: of the pixels as they are read.
        georeference: where it lies on the earth, if the file says so.
        random_access: whether a window costs about what it holds, wherever it is.
    """

    path: Path
    size: tuple[int, int]
    bands: int
    georeference: Georeference | None
    random_access: bool

    def read(self, rows: slice, cols: slice) -> npt.NDArray[np.generic]:
        """Return ``read_image(path)[rows, cols]``.

        Shape:
            (rows, cols, bands).

        Raises:
            DataError: that part is damaged or missing; it names rows and columns.
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
        supported_pixels(mapped[:1, :1], path)

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


def open_windows(path: str | os.PathLike[str], *, as_stored: bool = False) -> WindowedImage:
    """Open an image to read windows of it: GeoTIFF, BigTIFF and TIFF, PNG, JPEG, .npy.

    Args:
        path: the file.
        as_stored: take the samples of a raster for the pixels, whatever its header says.

    Raises:
        DataError: it is missing or damaged, or of a format or kind that cannot be read in parts.
        MissingExtraError: rasterio is not installed.
    """
    path = Path(path)
    if path.suffix.lower() == ".npy":
        return ArrayFile(path)
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
            if path.suffix.lower() not in {".tif", ".tiff"}:
                raise
    with open_windows(path) as image:
        return image.size
