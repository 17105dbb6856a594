"""A bulk job from its images to its manifest, by one engine or another."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rich.console import Console

from lookwider.errors import ConfigError
from lookwider.inference.bulk.buckets import is_address
from lookwider.inference.bulk.engines import engine_of
from lookwider.inference.bulk.job import BulkImage, BulkJob
from lookwider.inference.bulk.manifest import Manifest, open_manifest
from lookwider.inference.bulk.records import Record
from lookwider.inference.overwriting import check_images_stay
from lookwider.inference.predictor import Failure, ImageFile, PredictionReport
from lookwider.inference.progress import ImageProgress
from lookwider.predictions import checked_name, label_path


def bulk_images(files: Iterable[ImageFile]) -> list[BulkImage]:
    """Return the images of `find_images` for a job; their paths are absolute."""
    return [BulkImage(file.name, str(file.path.absolute())) for file in files]


def predict_bulk(
    job: BulkJob,
    images: Sequence[BulkImage],
    *,
    workers: int = 1,
    engine: str = "local",
    address: str | None = None,
    skip_existing: bool = False,
    console: Console | None = None,
    show: bool = True,
    report: PredictionReport | None = None,
) -> PredictionReport:
    """Segment many images by many workers; the results are those of `predict_files`.

    What becomes of each image is a row of ``manifest.parquet`` in the results' folder, by the end
    of the job; interrupted or killed, the same call does what is missing or failed. A worker that
    is lost is replaced and its images are done again; an image that ends its workers fails.

    Args:
        job: what is done to every image.
        images: from `bulk_images` or `bucket_images`; no two of one name.
        workers: how many, each with the model.
        engine: ``"local"``: processes here, or ``"ray"``.
        address: of a Ray cluster; a local one is started when None.
        skip_existing: leave out images whose label map is there, whoever wrote it.
        console: where progress is shown.
        show: whether it is.
        report: filled while it goes on, to be read after an interruption; a new one when None.

    Raises:
        ConfigError: a setting does not fit the model, two images have one name, or a result
            would replace an image.
        MissingExtraError: pyarrow or Ray is not installed.
        LookwiderError: results cannot be written, or another job writes there.
    """
    console = Console(stderr=True) if console is None else console
    report = PredictionReport(len(images)) if report is None else report
    check_names(images)
    check_images_stay(((image.source, image.name) for image in images), job.out)
    job = dataclasses.replace(job, run=job.run.absolute(), out=job.out.absolute())
    chosen = engine_of(engine, job, workers, address, console)
    with open_manifest(job.out, job.identity()) as manifest:
        if manifest.begun_anew:
            said = f"{job.out}: holds results of another model or setting; begun anew"
            console.print(said, markup=False, soft_wrap=True)
        report.skipped.extend(_finished(manifest, images, job.out, skip_existing))
        finished = frozenset(report.skipped)
        batches = [
            batch
            for batch in job.batches(images)
            if any(image.name not in finished for image in batch.images)
        ]
        if batches:
            with (
                ImageProgress(
                    "predicting", len(images) - len(finished), console, show=show
                ) as progress,
                contextlib.closing(chosen.segment(batches)) as answers,
            ):
                _work(answers, manifest, progress, finished, report)
        report.manifest = manifest.close()
    return report


def check_names(images: Sequence[BulkImage]) -> None:
    """Raise a `ConfigError` where two images' results would have one name."""
    for image in images:
        checked_name(image.name)
    name, count = Counter(image.name for image in images).most_common(1)[0] if images else ("", 0)
    if count > 1:
        raise ConfigError(
            f"got {count} images whose results would be called {name!r}, expected names of their "
            "own; give a folder above all of them, or several jobs"
        )


def _finished(
    manifest: Manifest, images: Sequence[BulkImage], out: Path, skip_existing: bool
) -> list[str]:
    """Return the names of the images that need no work; note those that another job wrote."""
    names = []
    for image in images:
        if manifest.finished(image):
            names.append(image.name)
        elif skip_existing and label_path(out, image.name).is_file():
            names.append(image.name)
            manifest.add(Record(image.name, image.source, "skipped"))
    return names


def _work(
    answers: Iterator[list[Record]],
    manifest: Manifest,
    progress: ImageProgress,
    finished: frozenset[str],
    report: PredictionReport,
) -> None:
    """Keep what the engine says; images done before are in it only beside others of their batch."""
    for record in itertools.chain.from_iterable(answers):
        manifest.add(record)
        if record.name in finished:
            continue
        if record.status == "done":
            report.written.append(record.name)
        else:
            path = record.path if is_address(record.path) else Path(record.path)
            report.failed.append(Failure(path, record.error or ""))
        progress.advance(note=record.name)
