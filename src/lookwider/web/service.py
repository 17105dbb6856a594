"""A request's way: admitted, read, decoded, segmented, answered; or told why not."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from fastapi import Request, Response
from starlette.requests import ClientDisconnect

from lookwider.errors import CheckpointError, ConfigError, LookwiderError
from lookwider.web.admission import Admission, Held
from lookwider.web.batching import Batcher, Job
from lookwider.web.computing import Segmentation
from lookwider.web.decoding import decode, read_header
from lookwider.web.metrics import Metrics
from lookwider.web.models import ServedModel, ServedModels
from lookwider.web.problems import ProblemError, quoted
from lookwider.web.receiving import read_body
from lookwider.web.settings import ServiceSettings

DECODERS = 2
"""Threads that decode images and encode answers."""

CLIENT_LEFT = 499
"""Status in the figures of requests whose client left; no one sees the answer."""

log = logging.getLogger("lookwider.web")

Result = TypeVar("Result")


class Service:
    """What the routes share: the queue, the limits on it, and its figures.

    Args:
        models: what is served.
        settings: the limits.

    Attributes:
        ready: whether the default model is loaded.
        settled: whether it is, or cannot be.
        admission: of images; whether any is accepted.
        in_flight: requests of programs that are not answered to their end.
    """

    def __init__(self, models: ServedModels, settings: ServiceSettings) -> None:
        self.models, self.settings = models, settings
        self.batcher = Batcher(models, settings, self._computed)
        self.admission = Admission(settings, lambda: self.batcher.waiting_pixels)
        self.metrics = Metrics(lambda: self.batcher.waiting_pixels, lambda: self.admission.count)
        self.ready = self.settled = False
        self.in_flight = 0
        self._threads = ThreadPoolExecutor(DECODERS, thread_name_prefix="lookwider-decode")

    async def start(self) -> None:
        """Load the default model, then be ready."""
        self.batcher.start()
        try:
            await self._in_thread(lambda: self.batcher.prepare(self.models.default))
        except LookwiderError as error:
            log.error("not ready: %s", error)
        else:
            self.ready = True
        self.settled = True

    async def stop(self) -> None:
        """Finish what was accepted."""
        self.admission.draining = True
        await asyncio.to_thread(self.batcher.close)
        self._threads.shutdown(cancel_futures=True)

    def model(self, name: str | None) -> ServedModel:
        """Return the model of a request.

        Raises:
            ProblemError: 404 when there is none of that name.
        """
        if name is None:
            return self.models.default
        try:
            return self.models[name]
        except ConfigError:
            known = ", ".join(self.models)
            raise ProblemError(
                404,
                "No such model",
                got=f"the model {quoted(name)}",
                expected=f"one of {known}",
                fix="see /v1/models",
            ) from None

    async def segment(
        self,
        request: Request,
        served: ServedModel,
        confidence: bool,
        encode: Callable[[Job, Segmentation], Response],
    ) -> Response:
        """Segment the image of a request and return the answer that ``encode`` makes.

        Raises:
            ProblemError: it cannot be done, or not now, or not in time.
        """
        until = time.monotonic() + self.settings.timeout
        with self.admission.one() as held:
            content = await self._received(request, held, until)
            job: list[Job] = []

            async def work() -> Response:
                upload = await self._in_thread(
                    lambda: read_header(content, self.settings.max_pixels)
                )
                held.add(upload.nbytes)
                pixels = await self._in_thread(lambda: decode(upload))
                one = Job(served, pixels, confidence)
                job.append(one)
                self.batcher.submit(one)
                try:
                    found = await asyncio.wrap_future(one.answer)
                except CheckpointError as error:
                    log.error("%s cannot be loaded: %s", served.name, error)
                    raise _not_loaded(served.name) from error
                except LookwiderError as error:
                    raise _not_segmented(error) from error
                return await self._in_thread(lambda: encode(one, found))

            return await self._unless_left(request, asyncio.create_task(work()), job, until)

    def _computed(self, batch: list[Job], seconds: float) -> None:
        """Count a batch; called by the thread that computes."""
        name, pixels = batch[0].model.name, sum(job.area for job in batch)
        self.metrics.images.labels(name).inc(len(batch))
        self.metrics.pixels.labels(name).inc(pixels)
        self.metrics.batch.observe(len(batch))
        self.metrics.compute.labels(name).observe(seconds)
        self.admission.rate = 0.8 * self.admission.rate + 0.2 * pixels / max(seconds, 1e-6)

    async def _received(self, request: Request, held: Held, until: float) -> bytes:
        try:
            async with asyncio.timeout(until - time.monotonic()):
                return await read_body(request, self.settings.max_bytes, held.add)
        except TimeoutError as error:
            raise ProblemError(
                408,
                "Body too slow",
                got="a body that had not come in whole in time",
                expected=f"all of it within {self.settings.timeout:g} seconds",
                fix="send it over a faster connection, or make it smaller",
                closes=True,
            ) from error

    async def _unless_left(
        self, request: Request, work: asyncio.Task[Response], job: list[Job], until: float
    ) -> Response:
        """Return what the work gives, unless the client leaves before, or time is over."""
        leaving = asyncio.create_task(_left(request))
        try:
            left = until - time.monotonic()
            done, _ = await asyncio.wait(
                {work, leaving}, timeout=left, return_when=asyncio.FIRST_COMPLETED
            )
            if work in done:
                return work.result()
            begun = bool(job) and job[0].answer.running()
            raise ClientDisconnect if leaving in done else self._late(begun)
        finally:
            for one in job:
                one.left = True
            for task in (work, leaving):
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await task

    def _late(self, begun: bool) -> ProblemError:
        seconds = f"{self.settings.timeout:g} seconds"
        if begun:
            return ProblemError(
                504,
                "Takes too long",
                got="an image that takes the network longer",
                expected=f"one that is segmented within {seconds}",
                fix="make it smaller, or send it when fewer others wait",
            )
        return ProblemError(
            503,
            "Not in time",
            got=f"an image whose turn had not come after {seconds}",
            expected="fewer images before it",
            fix="send it again after the seconds in Retry-After",
            retry_after=self.admission.expected_wait(),
        )

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        running: Awaitable[Result] = asyncio.get_running_loop().run_in_executor(self._threads, work)
        return await running


async def _left(request: Request) -> None:
    """Return when the client has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _not_loaded(name: str) -> ProblemError:
    return ProblemError(
        503,
        "Model not available",
        got=f"the model {quoted(name)}, whose files are damaged",
        expected="one that can be loaded",
        fix="take another of /v1/models, and tell who runs the service; its log says more",
    )


def _not_segmented(error: LookwiderError) -> ProblemError:
    large = "too large" in str(error) or "smallest tile" in str(error)
    if large:
        return ProblemError(
            413,
            "Image too large",
            got="an image that does not fit into the memory, neither whole nor in tiles",
            expected="a smaller one",
            fix="make it smaller, or cut it into parts",
        )
    return ProblemError(
        422,
        "Image does not fit the model",
        got="an image that this model cannot segment",
        expected="one of its number of bands, in /v1/models, and of finite scores",
        fix=f"the model says: {error}",
    )
