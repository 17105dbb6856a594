"""What is said between a job and its workers, whichever engine carries it."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Protocol, Self

from lookwider.inference.bulk.attempts import Attempts
from lookwider.inference.bulk.job import BulkJob
from lookwider.inference.bulk.pipeline import Answer, Pipeline
from lookwider.inference.bulk.tile_work import ImageJob, TileWork

END = "end"
"""The order to end; the end of the orders without it means that the job is gone."""

READY = "ready"
"""The first answer: the model is loaded."""


class Work(Protocol):
    """What a worker does: images of many, or tiles of one."""

    attempts: Attempts
    """What was begun and not ended."""

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do until the next order comes."""

    def take(self, order: list[Any] | None) -> list[Answer]:
        """Take up a task, or go on with those that are there; return what was finished."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def work_of(job: dict[str, Any]) -> Work:
    """Return the work of a job, from its first order: `Job.to_json`."""
    if "path" in job:
        return TileWork(ImageJob.from_json(job))
    return Pipeline(BulkJob.from_json(job))
