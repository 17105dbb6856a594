"""The engines: who does the tasks of a job."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from rich.console import Console

from lookwider.errors import ConfigError, check_choice
from lookwider.inference.bulk.job import Job, Task
from lookwider.inference.bulk.local import LocalWorkers
from lookwider.inference.bulk.ray_engine import RayWorkers, ray_cluster
from lookwider.inference.bulk.records import Record

ENGINES = ("local", "ray")
"""Processes on this machine, or Ray's actors on one or many."""


class Engine(Protocol):
    """What does tasks, in any order, each exactly once in what it yields."""

    def segment(self, tasks: Sequence[Task]) -> Generator[list[Record]]:
        """Yield the records of each task as it is done."""


def engine_of(
    name: str, job: Job, workers: int, address: str | None = None, console: Console | None = None
) -> Engine:
    """Return an engine by its name.

    Args:
        name: one of `ENGINES`.
        job: what is done.
        workers: how many.
        address: of a Ray cluster; a local one is started when None.
        console: where it is said that a worker was lost; standard error when None.

    Raises:
        ConfigError: there is no such engine, or there are no workers.
    """
    check_choice("engine", name, ENGINES)
    if workers < 1:
        raise ConfigError(f"got workers={workers}, expected at least 1")
    if name == "ray":
        return RayWorkers(job, workers, address)
    if address is not None:
        raise ConfigError(f"got address={address} without engine=ray, expected the two together")
    return LocalWorkers(job, workers, Console(stderr=True) if console is None else console)


def kept_ready(name: str, workers: int, address: str | None = None) -> AbstractContextManager[Any]:
    """Keep what an engine needs between its jobs: to start a cluster of Ray takes seconds.

    Args:
        name: as of `engine_of`.
        workers: as of `engine_of`.
        address: as of `engine_of`.

    Raises:
        MissingExtraError: Ray is not installed.
        LookwiderError: there is no cluster at the address.
    """
    return ray_cluster(address, workers) if name == "ray" else nullcontext()
