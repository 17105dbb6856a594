"""Windows of raster files through GDAL, with the values that `read_image` gives."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from lookwider.errors import DataError, MissingExtraError
from lookwider.images import MAX_BANDS, check_file, supported_pixels
from lookwider.inference.large.colours import Pixels, meaning_of

CACHE_MB = 32
"""Decoded blocks that GDAL keeps."""

MOST_BLOCK_BYTES = 64 * 2**20
"""Larger blocks, such as a compressed TIFF of one strip, would have to be decoded whole."""

DRIVERS = {".tif": "GTiff", ".tiff": "GTiff", ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
"""File names whose windows are read, in lower case, and GDAL's name of the format."""

SETTINGS = {
    "GDAL_CACHEMAX": CACHE_MB,
    "GDAL_ERROR_ON_LIBJPEG_WARNING": True,  # else what is cut off would be grey
    "GDAL_PAM_ENABLED": False,  # no files beside the images
    "GDAL_PNG_SINGLE_BLOCK": False,  # rows, not the whole image
    "GDAL_PNG_WHOLE_IMAGE_OPTIM": False,
}


@dataclass(frozen=True)
class Georeference:
    """Where an image lies on the earth.

    Attributes:
        crs: the coordinate reference system as well-known text, or None.
        transform: from (column, row) to coordinates: a, b, c, d, e, f of the affine map.
    """

    crs: str | None
    transform: tuple[float, ...]


@contextmanager
def gdal(purpose: str) -> Iterator[Any]:
    """Yield rasterio within settings that bound its memory and make damage an error.

    Raises:
        MissingExtraError: it is not installed; ``purpose`` says what for.
    """
    try:
        import rasterio
    except ImportError as error:
        raise MissingExtraError("rasterio", "geo", purpose) from error
    with rasterio.Env(**SETTINGS), warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        yield rasterio


class Raster:
    """Windows of a TIFF, PNG or JPEG; see `WindowedImage`.

    Args:
        path: the file.
        as_stored: take the samples for the pixels, whatever the header says of their colours.
    """

    def __init__(self, path: Path, *, as_stored: bool = False) -> None:
        check_file(path)
        driver = DRIVERS.get(path.suffix.lower())
        if driver is None:
            raise DataError(
                f"{path}: {path.suffix or 'such'} files cannot be read in tiles, expected "
                f"{', '.join(sorted(DRIVERS))} or .npy; convert it: gdal_translate -co TILED=YES"
            )
        self.path, self._purpose = path, f"reading {path} in tiles"
        with gdal(self._purpose) as rasterio, ExitStack() as files:
            self._meaning = None if as_stored else meaning_of(path)
            try:
                self._datasets = [
                    files.enter_context(rasterio.open(name, driver=driver))
                    for name in _names(path, driver)
                ]
            except (rasterio.errors.RasterioError, UnicodeError) as error:
                raise DataError(f"{path}: damaged or truncated image: {error}") from error
            first = self._datasets[0]
            self._check_block(*first.block_shapes[0])
            self.georeference = _georeference(first)
            self.size = int(first.height), int(first.width)
            self.random_access = driver == "GTiff" and bool(first.profile.get("tiled"))
            self.bands = int(self.read(slice(0, 1), slice(0, 1)).shape[2])
            self._files = files.pop_all()

    def read(self, rows: slice, cols: slice) -> Pixels:
        """Return the pixels of a window."""
        with gdal(self._purpose) as rasterio:
            window = rasterio.windows.Window.from_slices(rows, cols)
            try:
                parts = [dataset.read(window=window) for dataset in self._datasets]
            except rasterio.errors.RasterioError as error:
                raise DataError(
                    f"{self.path}: rows {rows.start} to {rows.stop - 1}, columns {cols.start} to "
                    f"{cols.stop - 1} cannot be read: {error.__cause__ or error}; "
                    "the file is damaged or truncated"
                ) from error
        samples = np.concatenate(parts).transpose(1, 2, 0)
        pixels = samples if self._meaning is None else self._meaning(samples)
        return supported_pixels(pixels, self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._files.close()

    def _check_block(self, height: int, width: int) -> None:
        first = self._datasets[0]
        size = height * width * first.count * np.dtype(first.dtypes[0]).itemsize
        if size > MOST_BLOCK_BYTES:
            raise DataError(
                f"{self.path}: stored in blocks of {height} x {width} pixels, which are decoded "
                f"whole and take {size // 2**20} MiB, expected at most "
                f"{MOST_BLOCK_BYTES // 2**20}; rewrite it: gdal_translate -co TILED=YES"
            )


def _names(path: Path, driver: str) -> list[str]:
    """Return GDAL's names of an image's parts: the file, or its pages where each is a band."""
    name = str(path.resolve())
    if driver != "GTiff":
        return [name]
    try:
        import tifffile
    except ImportError as error:
        raise MissingExtraError("tifffile", "geo", f"reading {path} in tiles") from error
    try:
        with tifffile.TiffFile(path) as file:
            series = file.series[0]
            pages = [page.index for page in series.pages if page is not None]
            shape = series.shape
    except Exception as error:  # tifffile raises many kinds on damaged files
        raise DataError(f"{path}: damaged or truncated image: {error}") from error
    if len(pages) > 1 and not (shape[0] == len(pages) <= MAX_BANDS < min(shape[1:])):
        raise DataError(
            f"{path}: holds {len(pages)} pages, together of shape {shape}, expected a single one "
            f"or at most {MAX_BANDS} that are bands of one image"
        )
    return [name] if len(pages) == 1 else [f"GTIFF_DIR:{index + 1}:{name}" for index in pages]


def _georeference(dataset: Any) -> Georeference | None:
    """Return where a dataset lies; None where it does not say."""
    crs = dataset.crs.to_wkt() if dataset.crs else None
    if crs is None and dataset.transform.is_identity:
        return None
    return Georeference(crs, tuple(float(value) for value in dataset.transform[:6]))
