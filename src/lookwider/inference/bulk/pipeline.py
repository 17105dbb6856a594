"""One worker's work: images read ahead, segmented, and written behind, in bounded memory."""

from __future__ import annotations

import errno
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lookwider.errors import LookwiderError
from lookwider.inference.bulk.attempts import MOST, Attempts
from lookwider.inference.bulk.job import Batch, BulkImage, BulkJob
from lookwider.inference.bulk.network import Segmented, segment_together
from lookwider.inference.bulk.places import attempts_folder, work_folder
from lookwider.inference.bulk.reading import Loaded, load_image
from lookwider.inference.bulk.records import Record, reason_of
from lookwider.predictions import Prediction
from lookwider.weights.safe_files import sha256

AHEAD = 2
"""Batches of which the images are read before the network is free."""

BEHIND = 2
"""Batches that may wait to be written."""

Answer = tuple[int, list[Record]]
"""The number of a batch, and the records of its images."""


class Pipeline:
    """Turns batches into results in files, and says what became of each image.

    Results are written aside and moved to their names, the label map last: where that is, the
    others are whole, whenever the worker was killed. A batch that an earlier worker did not end is
    done with nothing else in this one, then image by image; so the image that kills is found.

    Args:
        job: what is done.
    """

    def __init__(self, job: BulkJob) -> None:
        self.job = job
        self.attempts = Attempts(attempts_folder(job.folder))
        work = work_folder(job.out)
        work.mkdir(parents=True, exist_ok=True)
        self.aside = Path(tempfile.mkdtemp(dir=work))
        self.model = job.load()
        self.readers = ThreadPoolExecutor(job.readers)
        self.writers = ThreadPoolExecutor(1)
        self.reading: deque[tuple[Batch, list[Future[Loaded | Record]]]] = deque()
        self.writing: deque[tuple[Batch, Future[list[Record]]]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.readers.shutdown(cancel_futures=True)
        self.writers.shutdown(cancel_futures=True)
        shutil.rmtree(self.aside, ignore_errors=True)

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do until the next batch comes."""
        return not self.reading and not self.writing

    def take(self, order: list[Any] | None) -> list[Answer]:
        """Take up a batch as JSON holds it; see `feed`."""
        return self.feed(None if order is None else Batch.from_json(order))

    def feed(self, batch: Batch | None) -> list[Answer]:
        """Take up a batch, or go on with those that are there; return what was finished.

        Raises:
            DeviceLostError: another process has to go on.
            LookwiderError: results cannot be written.
        """
        if batch is not None:
            begun = max(self.attempts.count(image.name) for image in batch.images)
            if begun:
                return [*self._drain(), (batch.number, self._suspects(batch, begun))]
            self._read(batch)
            return self._segment() if len(self.reading) > AHEAD else self._written(BEHIND)
        return self._segment() if self.reading else self._written(0)

    def _drain(self) -> list[Answer]:
        found = []
        while not self.idle:
            found += self.feed(None)
        return found

    def _suspects(self, batch: Batch, begun: int) -> list[Record]:
        """Do a batch that was begun before, alone; from the third time on image by image."""
        together = [batch.images] if begun < MOST - 1 else [(image,) for image in batch.images]
        records = []
        for images in together:
            if self.attempts.count(images[0].name) < MOST:
                self._read(Batch(batch.number, images))
                ((_, found),) = self._drain()
            else:
                self.attempts.end(images[0].name)
                found = [Record.failed(images[0], KILLER)]
            records += found
        return records

    def _read(self, batch: Batch) -> None:
        for image in batch.images:
            self.attempts.begin(image.name)
        futures = [self.readers.submit(_loaded, image, self.aside) for image in batch.images]
        self.reading.append((batch, futures))

    def _segment(self) -> list[Answer]:
        """Put the oldest batch through the network; return what was written meanwhile."""
        batch, futures = self.reading.popleft()
        read = [future.result() for future in futures]
        started = time.perf_counter()
        found = segment_together(
            self.model, self.job, [one for one in read if isinstance(one, Loaded)]
        )
        share = (time.perf_counter() - started) / len(read)
        self.writing.append((batch, self.writers.submit(self._write, read, found, share)))
        return self._written(BEHIND)

    def _written(self, behind: int) -> list[Answer]:
        """Return what is written; wait until at most so many batches are not."""
        found = []
        while self.writing and (len(self.writing) > behind or self.writing[0][1].done()):
            batch, future = self.writing.popleft()
            found.append((batch.number, future.result()))
        return found

    def _write(
        self,
        read: Sequence[Loaded | Record],
        found: Sequence[Segmented],
        seconds: float,
    ) -> list[Record]:
        segmented = iter(found)
        records = []
        for one in read:
            record = one if isinstance(one, Record) else self._save(one, next(segmented), seconds)
            self.attempts.end(record.name)
            records.append(record)
        return records

    def _save(self, loaded: Loaded, found: Segmented, seconds: float) -> Record:
        image, prediction = loaded.image, found.prediction
        seconds += loaded.seconds
        if isinstance(prediction, str):
            return Record.failed(image, prediction, seconds)
        started = time.perf_counter()
        try:
            labels = save_aside(prediction, self.aside, self.job.out)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise LookwiderError(f"cannot write the results: {error}") from error
            reason = "its name is too long for its results' names"
            return Record.failed(image, reason, seconds)
        seconds += time.perf_counter() - started
        height, width = prediction.labels.shape
        return Record(
            image.name, image.source, "done", None, seconds, found.together, height, width,
            loaded.bytes, loaded.modified, loaded.sha256, labels,
        )  # fmt: skip


KILLER = (
    f"its worker ended {MOST} times while this image was worked on, at last with no other beside "
    "it; too large for the memory, or a fault of a decoder?"
)


def save_aside(prediction: Prediction, aside: Path, out: Path) -> str:
    """Write a prediction's files aside and move them to ``out``, the label map last.

    Returns:
        The label map's SHA-256.
    """
    files = prediction.save(aside)
    digest = sha256(files[-1])
    for file in files:
        target = out / file.relative_to(aside)
        target.parent.mkdir(parents=True, exist_ok=True)
        file.replace(target)
    return digest


def _loaded(image: BulkImage, aside: Path) -> Loaded | Record:
    started = time.perf_counter()
    try:
        return load_image(image, aside)
    except Exception as error:  # one image must not take the others with it
        return Record.failed(image, reason_of(error), time.perf_counter() - started)
