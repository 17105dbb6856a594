"""Images of which some are too large for one worker: their tiles are shared out among all."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from lookwider.inference.bulk.buckets import is_address
from lookwider.inference.bulk.engines import engine_of, kept_ready
from lookwider.inference.bulk.job import BulkImage, BulkJob
from lookwider.inference.bulk.run import check_names, predict_bulk
from lookwider.inference.bulk.tile_work import ImageJob
from lookwider.inference.bulk.tiles import SharedTiles
from lookwider.inference.large import Tiler, Tiling, check_tiled, is_finished
from lookwider.inference.overwriting import check_images_stay
from lookwider.inference.predictor import ImageFile, PredictionReport, predict_in_tiles
from lookwider.inference.progress import ImageProgress


def predict_spread(
    job: BulkJob,
    images: Sequence[BulkImage],
    *,
    tiling: Tiling,
    workers: int = 1,
    engine: str = "local",
    address: str | None = None,
    skip_existing: bool = False,
    console: Console | None = None,
    show: bool = True,
    report: PredictionReport | None = None,
) -> PredictionReport:
    """Segment images by many workers: small ones as `predict_bulk`, then large ones in tiles.

    The tiles of a large image go to all workers, one image after the other; the results are those
    of `predict_large` in one process, byte by byte.

    Args:
        job: what is done to every image; a plain protocol without probabilities.
        images: from `bulk_images` or `bucket_images`; those of buckets are not cut into tiles.
        tiling: which images are large; its memory is for all workers and this process together.
        workers: how many, each with the model.
        engine: as in `predict_bulk`.
        address: as in `predict_bulk`.
        skip_existing: leave out images whose label map is there and whose tiles are not begun.
        console: where progress is shown.
        show: whether it is.
        report: filled while it goes on, to be read after an interruption; a new one when None.

    Raises:
        ConfigError: a setting does not fit the model or tiles, two images have one name, or a
            result would replace an image.
        MissingExtraError: pyarrow or Ray is not installed.
        LookwiderError: results cannot be written, or another job writes there.
    """
    plain = job.protocol.is_plain and job.shift_and_stitch == 1
    check_tiled(plain=plain, probabilities=job.probabilities)
    check_names(images)
    check_images_stay(((image.source, image.name) for image in images), job.out)
    engine_of(engine, job, workers, address, console)  # fails before anything is computed
    if tiling.max_memory is not None:
        tiling = dataclasses.replace(tiling, processes=workers + 1)
    report = PredictionReport(len(images)) if report is None else report

    def shared(path: Path, name: str) -> SharedTiles:
        one = ImageJob(job.run, path, job.out, name, job.device, job.dtype)
        return SharedTiles(one, workers, engine, address)

    tiler = Tiler(job.load(), job.out, tiling, shared)
    large = [
        ImageFile(Path(image.source), image.name)
        for image in images
        if not is_address(image.source) and tiler.needs_tiles(Path(image.source), image.name)
    ]
    names = {file.name for file in large}
    small = [image for image in images if image.name not in names]
    if small:
        predict_bulk(
            job,
            small,
            workers=workers,
            engine=engine,
            address=address,
            skip_existing=skip_existing,
            console=console,
            show=show,
            report=report,
        )
    finished = {name for name in names if skip_existing and is_finished(job.out, name)}
    report.skipped.extend(sorted(finished))
    left = [file for file in large if file.name not in finished]
    if left:
        progress = ImageProgress("predicting", len(left), console, show=show)
        with kept_ready(engine, workers, address), progress:
            predict_in_tiles(tiler, left, report, progress)
    return report
