"""The queue to the device: one thread computes, images of one size go together."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field

from lookwider.errors import LookwiderError
from lookwider.inference.memory import give_back_freed_memory
from lookwider.models import Segmenter
from lookwider.web.computing import (
    Pixels,
    Segmentation,
    pixels_at_once,
    segment_in_tiles,
    segment_together,
)
from lookwider.web.models import ServedModel, ServedModels
from lookwider.web.settings import ServiceSettings

GIVE_BACK = 5.0
"""Seconds after which freed memory goes back to the system: images of many sizes scatter it."""


@dataclass(eq=False)
class Job:
    """An image that waits for the network.

    Attributes:
        model: that is to segment it.
        pixels: (H, W, C).
        confidence: whether the classes' confidence is wanted.
        answer: cancelled when no one waits for it any more.
        left: whether that happened while it was computed.
    """

    model: ServedModel
    pixels: Pixels
    confidence: bool
    answer: Future[Segmentation] = field(default_factory=Future)
    left: bool = False

    @property
    def area(self) -> int:
        """Pixels of the image."""
        return int(self.pixels.shape[0] * self.pixels.shape[1])

    def fits(self, other: Job) -> bool:
        """Whether both can go through the network together."""
        return self.model is other.model and self.pixels.shape == other.pixels.shape

    def check(self) -> None:
        """Raise `CancelledError` when no one waits any more."""
        if self.left:
            raise CancelledError


OnBatch = Callable[[list[Job], float], None]
"""Told of a batch, and how many seconds it took."""


class Batcher:
    """Computes jobs one batch after the other, in the order of the oldest of each batch.

    Args:
        models: whose device is computed on.
        settings: how large batches are, and how long they wait to fill.
        on_batch: told of each.
    """

    def __init__(self, models: ServedModels, settings: ServiceSettings, on_batch: OnBatch) -> None:
        self._models, self._settings, self._on_batch = models, settings, on_batch
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._at_once: dict[str, int] = {}
        self._thread = threading.Thread(target=self._run, name="lookwider-compute", daemon=True)

    def start(self) -> None:
        """Begin to compute."""
        self._thread.start()

    def close(self) -> None:
        """Finish what waits, then end."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()

    def submit(self, job: Job) -> None:
        """Let a job wait for its turn."""
        with self._changed:
            self._waiting.append(job)
            self._changed.notify_all()

    @property
    def waiting_pixels(self) -> int:
        """Pixels of all that waits."""
        with self._changed:
            return sum(job.area for job in self._waiting)

    def prepare(self, served: ServedModel) -> Segmenter:
        """Load a model, and measure how many pixels it takes; later calls return at once.

        Raises:
            LookwiderError: its checkpoint is damaged.
        """
        model = served.fast()
        if served.name not in self._at_once:
            memory = self._settings.max_memory // 2
            self._at_once[served.name] = pixels_at_once(model, memory)
        return model

    def _run(self) -> None:
        given_back = time.monotonic()
        while True:
            batch = self._next()
            if batch is None:
                return
            batch = [job for job in batch if job.answer.set_running_or_notify_cancel()]
            if batch:
                with self._models.computing():
                    self._compute(batch)
            del batch  # the images of the last batch do not wait for the next one
            if time.monotonic() - given_back > GIVE_BACK:
                give_back_freed_memory()
                given_back = time.monotonic()

    def _compute(self, batch: list[Job]) -> None:
        start = time.perf_counter()
        try:
            found = self._segment(batch)
            self._on_batch(batch, time.perf_counter() - start)
        except LookwiderError as error:
            if len(batch) == 1:
                batch[0].answer.set_exception(error)
                return
            for job in batch:  # one image that cannot be segmented does not stop the others
                self._compute([job])
        except BaseException as error:  # whatever it is, someone waits to be told
            for job in batch:
                job.answer.set_exception(error)
        else:
            for job, segmentation in zip(batch, found, strict=True):
                job.answer.set_result(segmentation)

    def _segment(self, batch: list[Job]) -> list[Segmentation]:
        first = batch[0]
        model = self.prepare(first.model)
        at_once = self._at_once[first.model.name]
        if first.area > at_once:
            return [segment_in_tiles(model, first.pixels, at_once, first.confidence, first.check)]
        most = at_once // first.area
        found = []
        for part in (batch[i : i + most] for i in range(0, len(batch), most)):
            images, wanted = [job.pixels for job in part], [job.confidence for job in part]
            found += segment_together(model, images, wanted)
        return found

    def _next(self) -> list[Job] | None:
        """Return the next batch; None when all is done and it is time to end."""
        with self._changed:
            while not self._waiting:
                if self._closing:
                    return None
                self._changed.wait()
            until = time.monotonic() + self._settings.batch_wait
            while not self._full(self._fitting()) and not self._closing:
                if not self._changed.wait(max(0.0, until - time.monotonic())):
                    break
            self._waiting = deque(job for job in self._waiting if not job.answer.cancelled())
            batch = self._fitting()
            self._waiting = deque(job for job in self._waiting if job not in batch)
            return batch

    def _fitting(self) -> list[Job]:
        """Return what can go through the network with the oldest, no more than may at once."""
        if not self._waiting:
            return []
        first = self._waiting[0]
        return [job for job in self._waiting if first.fits(job)][: self._most_images(first)]

    def _full(self, batch: list[Job]) -> bool:
        return len(batch) == self._most_images(batch[0])

    def _most_images(self, job: Job) -> int:
        return max(1, min(self._settings.max_batch, self._settings.batch_pixels // job.area))
