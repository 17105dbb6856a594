"""Writing what is larger than memory: label maps, copies of images, small overlays."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from lookwider.classes import Classes
from lookwider.inference.large.rasters import Georeference, gdal
from lookwider.inference.large.reading import WindowedImage

LABEL_BLOCK = 512
"""Side of the blocks of a label map, in pixels."""

COPY_BLOCK = (64, 512)
"""Blocks of a copy; so many rows are held while it is made."""

PREVIEW = 2048
"""Longer side of the overlay, in pixels, at most."""

PREVIEW_PART = 1024
"""Side of what is read at once for it."""

ReadLabels = Callable[[slice, slice], npt.NDArray[np.uint8]]
"""From rows and columns to the labels there."""


def label_path(folder: str | Path, name: str) -> Path:
    """Return where the labels of the image called ``name`` go when it is segmented in tiles.

    Example:
        >>> label_path("out", "street/a").as_posix()
        'out/street/a.tif'
    """
    stem = Path(folder) / name
    return stem.with_name(f"{stem.name}.tif")


def write_labels(
    path: Path,
    size: tuple[int, int],
    labels: ReadLabels,
    classes: Classes,
    georeference: Georeference | None,
) -> None:
    """Write a label map as a tiled, compressed TIFF with palette, and read it back to be sure.

    Beyond 4 GB it is a BigTIFF.

    Raises:
        OSError: it cannot be written whole, as on a full disk.
    """
    palette = {i: (*colour, 255) for i, colour in enumerate(classes.palette)}
    options = {
        "photometric": "palette",
        "compress": "deflate",
        "blockxsize": LABEL_BLOCK,
        "blockysize": LABEL_BLOCK,
    }
    blocks = list(_windows(size, LABEL_BLOCK, LABEL_BLOCK))
    with gdal(f"writing {path}") as rasterio:
        try:
            with _created(rasterio, path, size, 1, "uint8", options, georeference) as file:
                file.write_colormap(1, palette)
                for rows, cols in blocks:
                    window = rasterio.windows.Window.from_slices(rows, cols)
                    file.write(labels(rows, cols), 1, window=window)
            with rasterio.open(path, driver="GTiff") as file:
                for rows, cols in blocks:
                    window = rasterio.windows.Window.from_slices(rows, cols)
                    if not np.array_equal(file.read(1, window=window), labels(rows, cols)):
                        raise OSError(f"{path} does not hold what was written")
        except rasterio.errors.RasterioError as error:
            raise OSError(f"{path}: {error.__cause__ or error}") from error


def copy_image(
    image: WindowedImage, target: Path, on_rows: Callable[[int, int], None] | None = None
) -> None:
    """Copy an image into a tiled TIFF, uncompressed, whose windows are quick to read.

    Args:
        image: read from its first row to its last.
        target: appears when it is whole.
        on_rows: told how many rows are copied, and of how many.

    Raises:
        DataError: the image is damaged.
        OSError: the copy cannot be written.
    """
    height, width = image.size
    rows_at_once, block_width = COPY_BLOCK
    unfinished = target.with_name(f"{target.name}.part")
    options = {"blockxsize": block_width, "blockysize": rows_at_once, "interleave": "pixel"}
    with gdal(f"reading {image.path} in tiles") as rasterio:
        try:
            with _created(
                rasterio, unfinished, image.size, image.bands, str(image.dtype), options, None
            ) as file:
                for rows, pixels in image.strips(rows_at_once):
                    window = rasterio.windows.Window.from_slices(rows, slice(0, width))
                    file.write(pixels.transpose(2, 0, 1), window=window)
                    if on_rows is not None:
                        on_rows(rows.stop, height)
        except rasterio.errors.RasterioError as error:
            raise OSError(f"{unfinished}: {error.__cause__ or error}") from error
    if unfinished.stat().st_size < height * width * image.bands * image.dtype.itemsize:
        raise OSError(f"{unfinished} is not whole")
    move_written(unfinished, target)


def move_written(unfinished: Path, target: Path) -> None:
    """Move a file to its name once it is on the disk, whatever happens to the machine then."""
    with unfinished.open("rb") as written:
        os.fsync(written.fileno())
    unfinished.replace(target)


def preview(
    image: WindowedImage, labels: ReadLabels, longest: int = PREVIEW
) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.uint8]]:
    """Return a small picture of an image and its labels: mean colours, the labels in the middle.

    Args:
        image: read part by part.
        labels: of it.
        longest: side of the picture, in pixels, at most.

    Shape:
        (h, w, bands) in the image's dtype, and (h, w).
    """
    factor = -(-max(image.size) // longest)
    size = -(-image.size[0] // factor), -(-image.size[1] // factor)
    picture = np.empty((*size, image.bands), image.dtype)
    shown = np.empty(size, np.uint8)
    side = max(1, PREVIEW_PART // factor) * factor
    for rows, cols in _windows(image.size, side, side):
        cells = tuple(slice(s.start // factor, -(-s.stop // factor)) for s in (rows, cols))
        picture[cells] = _means(image.read(rows, cols), factor).astype(image.dtype)
        middle = tuple(
            np.minimum(np.arange(0, s.stop - s.start, factor) + factor // 2, s.stop - s.start - 1)
            for s in (rows, cols)
        )
        shown[cells] = labels(rows, cols)[np.ix_(*middle)]
    return picture, shown


def _means(pixels: npt.NDArray[np.generic], factor: int) -> npt.NDArray[np.generic]:
    """Return the means of cells of ``factor`` pixels; those at the end may hold fewer."""
    if factor == 1:
        return pixels
    values = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)
    return functional.avg_pool2d(values, factor, ceil_mode=True).permute(1, 2, 0).numpy()


def _windows(size: tuple[int, int], height: int, width: int) -> Iterator[tuple[slice, slice]]:
    for top in range(0, size[0], height):
        for left in range(0, size[1], width):
            yield (
                slice(top, min(top + height, size[0])),
                slice(left, min(left + width, size[1])),
            )


def _created(
    rasterio: Any,
    path: Path,
    size: tuple[int, int],
    bands: int,
    dtype: str,
    options: dict[str, Any],
    georeference: Georeference | None,
) -> Any:
    """Return a new tiled TIFF to write."""
    path.parent.mkdir(parents=True, exist_ok=True)
    place: dict[str, Any] = {}
    if georeference is not None:
        place = {"crs": georeference.crs, "rpcs": georeference.rpcs}
        if georeference.gcps:  # a file has these or a transform
            place["gcps"] = list(georeference.gcps)
        else:
            place["transform"] = rasterio.Affine(*georeference.transform)
    return rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=size[0],
        width=size[1],
        count=bands,
        dtype=dtype,
        tiled=True,
        BIGTIFF="IF_SAFER",
        **options,
        **place,
    )
