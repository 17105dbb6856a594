"""A bulk job by Ray Data: actors with the model loaded, on this machine or a cluster."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from lookwider.errors import LookwiderError, MissingExtraError
from lookwider.inference.bulk.attempts import Attempts
from lookwider.inference.bulk.job import Job, Task
from lookwider.inference.bulk.network import DeviceLostError
from lookwider.inference.bulk.orders import work_of
from lookwider.inference.bulk.places import attempts_folder
from lookwider.inference.bulk.records import Record
from lookwider.processes import die

MOST_IMAGES = 64
"""Images of a block at most; what a lost actor is at is done again as a whole."""

BLOCKS = 8
"""Blocks for each actor at least, so that all end at about the same time."""


class RayWorkers:
    """Actors of Ray Data, each with its share of the cores or of the GPUs.

    Ray restarts an actor that is lost, on another machine if need be, and gives what it was at out
    again. The images and the results' folder are read and written by the actors themselves, at
    the same paths on all machines.

    Args:
        job: what is done.
        workers: how many actors.
        address: of a cluster, such as ``auto`` or ``ray://head:10001``; None starts one here.
    """

    def __init__(self, job: Job, workers: int, address: str | None = None) -> None:
        self.job, self.workers, self.address = job, workers, address

    def segment(self, tasks: Sequence[Task]) -> Generator[list[Record]]:
        """Yield the records of each task as it is done.

        Raises:
            MissingExtraError: Ray is not installed.
            LookwiderError: there is no cluster at the address, or the job cannot go on.
        """
        if not tasks:
            return
        with ray_cluster(self.address, self.workers) as ray:
            try:
                for answer in self._answers(ray, tasks).iter_rows():
                    records: list[dict[str, Any]] = json.loads(answer["records"])
                    yield [Record(**record) for record in records]
            except ray.exceptions.RayError as error:
                raise LookwiderError(_said(error)) from error
            finally:
                Attempts(attempts_folder(self.job.folder)).forgive()

    def _answers(self, ray: Any, tasks: Sequence[Task]) -> Any:
        images, size = sum(task.size for task in tasks), max(task.size for task in tasks)
        most = max(1, min(images // (self.workers * BLOCKS), MOST_IMAGES) // size)
        blocks = -(-len(tasks) // most)
        orders = [{"order": json.dumps(task.to_json())} for task in tasks]
        return ray.data.from_items(orders, override_num_blocks=blocks).map_batches(
            _Segmentation,
            fn_constructor_args=(json.dumps(self.job.to_json()),),
            batch_size=None,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(
                size=min(self.workers, blocks), max_tasks_in_flight_per_actor=2
            ),
            **self.resources(ray),
        )

    def resources(self, ray: Any) -> dict[str, float]:
        """Return what each actor takes, so that all of them fit."""
        there = ray.cluster_resources()
        if there.get("GPU") and self.job.device != "cpu":
            return {"num_gpus": min(1.0, there["GPU"] / self.workers)}
        share = there.get("CPU", 1.0) / self.workers
        return {"num_cpus": max(1, int(share)) if share >= 1 else share}


class _Segmentation:
    """What an actor does: loads the model once, then segments what it is given."""

    def __init__(self, job: str) -> None:
        self.work = work_of(json.loads(job))

    def __call__(self, orders: Any) -> dict[str, list[str]]:
        answers = []
        try:
            for order in orders.column("order").to_pylist():
                answers += self.work.take(json.loads(order))
            while not self.work.idle:
                answers += self.work.take(None)
        except DeviceLostError:
            die()
        rows = [[dataclasses.asdict(record) for record in records] for _, records in answers]
        return {"records": [json.dumps(row) for row in rows]}


@contextmanager
def ray_cluster(address: str | None, workers: int) -> Iterator[Any]:
    """Yield Ray, connected, quiet, and without reports of its use.

    A cluster is started and stopped only where Ray is not connected already: around several jobs,
    they share it.

    Args:
        address: as of `RayWorkers`.
        workers: how many actors must fit a cluster that is started here.

    Raises:
        MissingExtraError: Ray is not installed.
        LookwiderError: there is no cluster at the address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError("ray", "ray", "a job with --engine ray") from error
    own = not ray.is_initialized()
    cores = None if address else max(workers, os.cpu_count() or 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own, about its next version
        if own:
            try:
                ray.init(
                    address=address,
                    num_cpus=cores,
                    include_dashboard=None if address else False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise LookwiderError(
                    f"got the address {address}, where no Ray cluster answers: {error}; start one "
                    "with: ray start --head"
                ) from error
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        try:
            yield ray
        finally:
            if own:
                ray.shutdown()


def _said(error: Exception) -> str:
    """Return the words of what a worker raised, without Ray's account of where."""
    cause = getattr(error, "cause", None) or error.__cause__ or error
    return str(cause) if isinstance(cause, LookwiderError) else f"a worker failed: {error}"
