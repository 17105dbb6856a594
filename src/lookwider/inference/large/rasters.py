"""Windows of raster files through GDAL, with the values that `read_image` gives."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
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

TIFF = frozenset({".tif", ".tiff"})
"""File names of TIFFs, in lower case."""

MOST_PAGES = 256
"""More pages of a TIFF are not looked at, overviews included."""

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
        gcps: ground control points, as rasterio has them; the system is theirs then.
        rpcs: rational polynomial coefficients, as rasterio has them, or None.
    """

    crs: str | None
    transform: tuple[float, ...]
    gcps: tuple[Any, ...] = ()
    rpcs: Any = None


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
            names = _names(path, driver)
            self._meaning = None if as_stored else meaning_of(path)
            try:
                self._datasets = [
                    files.enter_context(rasterio.open(name, driver=driver)) for name in names
                ]
            except (rasterio.errors.RasterioError, UnicodeError) as error:
                raise DataError(f"{path}: damaged or truncated image: {error}") from error
            self._check_blocks()
            first = self._datasets[0]
            self.georeference = _georeference(first)
            self.size = int(first.height), int(first.width)
            tiled = all(dataset.profile.get("tiled") for dataset in self._datasets)
            self.random_access = driver == "GTiff" and tiled
            compression = str(first.profile.get("compress", driver)).upper()
            self.other_colours = not as_stored and compression == "JPEG"
            corner = self.read(slice(0, 1), slice(0, 1))
            self.bands, self.dtype = int(corner.shape[2]), corner.dtype
            self._files = files.pop_all()

    def strips(self, height: int) -> Iterator[tuple[slice, Pixels]]:
        """Yield so many rows at a time."""
        for rows in row_slices(self.size[0], height):
            yield rows, self.read(rows, slice(0, self.size[1]))

    def read(self, rows: slice, cols: slice) -> Pixels:
        """Return the pixels of a window."""
        with gdal(self._purpose) as rasterio:
            window = rasterio.windows.Window.from_slices(rows, cols)
            try:
                parts = [dataset.read(window=window) for dataset in self._datasets]
            except (rasterio.errors.RasterioError, OSError) as error:
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

    def _check_blocks(self) -> None:
        for dataset in self._datasets:
            height, width = dataset.block_shapes[0]
            size = height * width * dataset.count * np.dtype(dataset.dtypes[0]).itemsize
            if size > MOST_BLOCK_BYTES:
                raise DataError(
                    f"{self.path}: stored in blocks of {height} x {width} pixels, which are "
                    f"decoded whole and take {size // 2**20} MiB, expected at most "
                    f"{MOST_BLOCK_BYTES // 2**20}; rewrite it: gdal_translate -co TILED=YES"
                )


def row_slices(rows: int, height: int) -> Iterator[slice]:
    """Yield an image's rows, so many at a time.

    Example:
        >>> list(row_slices(5, 3))
        [slice(0, 3, None), slice(3, 5, None)]
    """
    for top in range(0, rows, height):
        yield slice(top, min(top + height, rows))


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
            _check_pages(file, path)
            series = file.series[0]
            pages = [page.index for page in series.pages if page is not None]
            shape = series.shape
    except DataError:
        raise
    except Exception as error:  # tifffile raises many kinds on damaged files
        raise DataError(f"{path}: damaged or truncated image: {error}") from error
    if len(pages) > 1 and not (shape[0] == len(pages) <= MAX_BANDS < min(shape[1:])):
        raise DataError(
            f"{path}: holds {len(pages)} pages, together of shape {shape}, expected a single one "
            f"or at most {MAX_BANDS} that are bands of one image"
        )
    return [name] if len(pages) == 1 else [f"GTIFF_DIR:{index + 1}:{name}" for index in pages]


def _check_pages(file: Any, path: Path) -> None:
    """Raise a `DataError` for more pages than are looked at, before all of them are."""
    with suppress(IndexError):
        file.pages[MOST_PAGES]
        raise DataError(
            f"{path}: holds more than {MOST_PAGES} pages, expected a single one or at most "
            f"{MAX_BANDS} that are bands of one image; take out the page that you mean: "
            f"gdal_translate GTIFF_DIR:1:{path.name} page.tif"
        )


def _georeference(dataset: Any) -> Georeference | None:
    """Return where a dataset lies; None where it does not say."""
    gcps, system = dataset.gcps
    crs = dataset.crs or system
    if not crs and not gcps and not dataset.rpcs and dataset.transform.is_identity:
        return None
    transform = tuple(float(value) for value in dataset.transform[:6])
    return Georeference(crs.to_wkt() if crs else None, transform, tuple(gcps), dataset.rpcs)
