"""A bulk job: its rate beside the bare network's, its cost, and what random kills change.

    python benchmarks/bulk.py throughput      # beside the bare loop over the network
    python benchmarks/bulk.py tenfold         # the cost of ten times the images
    python benchmarks/bulk.py kills           # workers and whole jobs killed at random

The pictures are made up, the network's weights random: neither changes the time.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import multiprocessing
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import psutil
import torch
from PIL import Image

from lookwider.classes import Classes
from lookwider.images import read_image
from lookwider.inference import find_images, predict_files
from lookwider.inference.bulk import BulkJob, predict_bulk
from lookwider.inference.bulk.manifest import read_manifest
from lookwider.inference.bulk.run import bulk_images
from lookwider.models import create_model
from lookwider.weights import load, save


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("throughput", "tenfold", "kills"))
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--images", type=int, default=40, help="tenfold does 10x as many too")
    parser.add_argument("--size", type=int, nargs=2, default=(360, 480))
    parser.add_argument("--model", default="pspnet")
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--engine", default="local")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        run = network(folder / "run", given.model, given.backbone)
        pictures(folder / "few", given.images, given.size)
        {"throughput": throughput, "tenfold": tenfold, "kills": kills}[given.what](
            folder, run, given
        )


def network(folder: Path, model: str, backbone: str) -> Path:
    """Save a network with random weights."""
    torch.manual_seed(0)
    classes = Classes.named([f"class {i}" for i in range(21)])
    return save(create_model(model, backbone=backbone, classes=classes).eval(), folder / "best")


def pictures(folder: Path, count: int, size: tuple[int, int]) -> None:
    """Write made-up JPEGs of one size."""
    folder.mkdir()
    rng = np.random.default_rng(count)
    for i in range(count):
        small = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8))
        small.resize((size[1], size[0]), Image.Resampling.BICUBIC).save(folder / f"{i:06}.jpg")


def throughput(folder: Path, run: Path, given: argparse.Namespace) -> None:
    """Print the rate of the bare loop over `Segmenter.predict` beside that of a job.

    The bare loop reads and writes nothing: the images are in memory, one goes through at a time,
    and its processes wait for each other before they begin. It runs in one process with all the
    cores, and in as many processes as the job has workers, each with as many threads as one of
    those. Of the job the rate is that from the first quarter of its images to the last one, so
    that starting the workers counts for nothing; what that takes is printed beside it.
    """
    cores, workers = psutil.cpu_count() or 1, given.workers
    alone = bare_rate(folder, run, 1, cores)
    print(f"bare loop, 1 process of {cores} threads: {alone:.3f} images/s", flush=True)
    bare = bare_rate(folder, run, workers, max(1, cores // workers))
    print(f"bare loop, {workers} processes: {bare:.3f} images/s", flush=True)
    found = job(folder, run, given, "few")
    rate = found.rate()
    print(f"job, {workers} workers, {given.engine}: {rate:.3f} images/s once they run")
    print(f"  {rate / bare:.1%} of the bare loop in {workers} processes")
    print(f"  {rate / alone:.1%} of the bare loop in one")
    print(f"  {found.start:.1f} s until the first image, {found.clock:.1f} s in all")


def bare_rate(folder: Path, run: Path, processes: int, threads: int) -> float:
    """Return how many images a second the processes predict together, from memory."""
    context = multiprocessing.get_context("spawn")
    barrier, spans = context.Barrier(processes), context.SimpleQueue()
    children = [
        context.Process(
            target=bare_loop, args=(run, folder / "few", slot, processes, threads, barrier, spans)
        )
        for slot in range(processes)
    ]
    for child in children:
        child.start()
    found = [spans.get() for _ in children]
    for child in children:
        child.join()
    began, ended = min(span[0] for span in found), max(span[1] for span in found)
    return float(len(find_images([folder / "few"])) / (ended - began))


def bare_loop(
    run: Path,
    folder: Path,
    slot: int,
    processes: int,
    threads: int,
    barrier: Barrier,
    spans: SimpleQueue[tuple[float, float]],
) -> None:
    """Predict every so-manyth image of a folder; tell when it began and ended."""
    torch.set_num_threads(threads)
    model = load(run).compile_for_inference()
    arrays = [read_image(file.path) for file in find_images([folder])][slot::processes]
    model.predict(arrays[0])
    barrier.wait()
    began = time.time()
    for array in arrays:
        model.predict(array)
    spans.put((began, time.time()))


def tenfold(folder: Path, run: Path, given: argparse.Namespace) -> None:
    """Print what ten times the images cost, with and without starting the workers."""
    pictures(folder / "many", 10 * given.images, given.size)
    few, many = (job(folder, run, given, name) for name in ("few", "many"))
    for count, found in ((given.images, few), (10 * given.images, many)):
        print(
            f"{count} images: {found.clock:.1f} s in all, {found.start:.1f} s of it until the "
            f"first; {found.busy:.1f} s of processors; {1 / found.rate():.3f} s an image between"
        )
    without = (many.clock - many.start) / (few.clock - few.start)
    print(f"ten times the images: {many.clock / few.clock:.2f} x the time")
    print(f"without what comes before the first: {without:.2f} x")


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a job took.

    Attributes:
        clock: seconds in all.
        busy: seconds of processors, of this process and its workers.
        start: seconds until the first image was finished.
        finished: when each image was, in seconds.
    """

    clock: float
    busy: float
    start: float
    finished: list[float]

    def rate(self) -> float:
        """Return how many images a second were finished, after the first quarter of them."""
        first = len(self.finished) // 4
        return (len(self.finished) - 1 - first) / (self.finished[-1] - self.finished[first])


def job(folder: Path, run: Path, given: argparse.Namespace, name: str) -> Cost:
    """Run a job, and measure it."""
    images = bulk_images(find_images([folder / name]))
    out = folder / f"out-{name}"
    began, busy = time.time(), seconds_of_processors()
    predict_bulk(BulkJob(run, out), images, workers=given.workers, engine=given.engine, show=False)
    clock = time.time() - began
    finished = sorted(row.finished / 1000 for row in read_manifest(out / "manifest.parquet"))
    return Cost(clock, seconds_of_processors() - busy, finished[0] - began, finished)


def seconds_of_processors() -> float:
    """Return what this process and its ended children have used."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def kills(folder: Path, run: Path, given: argparse.Namespace) -> None:
    """Kill workers, and now and then the job with all of them; compare every byte."""
    images, out, rng = folder / "few", folder / "out", random.Random(given.seed)
    predict_files(load(run), find_images([images]), folder / "one", show=False)
    killed = {"workers": 0, "jobs": 0}
    rounds = 0
    while sum(killed.values()) < given.kills or not complete(out):
        rounds += 1
        if complete(out):
            compare(folder, images)
            subprocess.run(["rm", "-r", out], check=True)
        job = subprocess.Popen([
            sys.executable, "-m", "lookwider", "predict", run, images, "--out", out,
            "--workers", str(given.workers), "--engine", given.engine,
        ], stderr=subprocess.DEVNULL)  # fmt: skip
        began = time.time()
        while job.poll() is None and sum(killed.values()) < given.kills:
            time.sleep(rng.uniform(0, 2.5))
            kill_one(job, out, began, rng, killed)
        job.wait()
    compare(folder, images)
    print(
        f"{killed['workers']} workers and {killed['jobs']} jobs killed in {rounds} starts: every "
        f"file of {given.images} images as in an undisturbed process, none missing, none twice"
    )


def kill_one(
    job: subprocess.Popen[bytes],
    out: Path,
    began: float,
    rng: random.Random,
    killed: dict[str, int],
) -> None:
    """Kill a worker or, one time in eight, the job; once images have been begun since its start."""
    try:
        marks = (out / ".manifest" / "attempts").iterdir()
        if not any(mark.stat().st_mtime > began for mark in marks):
            return
        processes = psutil.Process(job.pid).children(recursive=True)
        workers = [
            process
            for process in processes
            if "bulk.worker" in (line := " ".join(process.cmdline())) or "_Segmentation" in line
        ]
        if not workers:
            return
        if rng.random() < 1 / 8:
            job.kill()
            job.wait()
            killed["jobs"] += 1
        else:
            rng.choice(workers).send_signal(signal.SIGKILL)
            killed["workers"] += 1
    except (FileNotFoundError, psutil.NoSuchProcess):
        return


def complete(out: Path) -> bool:
    """Return whether a job has ended with every image done: one killed thrice fails, till then."""
    path = out / "manifest.parquet"
    return path.exists() and all(row.status == "done" for row in read_manifest(path))


def compare(folder: Path, images: Path) -> None:
    """Raise an error unless the job's files and rows are those of one process."""
    found, expected = contents(folder / "out"), contents(folder / "one")
    manifest = found.pop("manifest.parquet")
    assert found == expected, sorted(set(found.items()) ^ set(expected.items()))
    rows = read_manifest(folder / "out" / "manifest.parquet")
    names = sorted(path.stem for path in images.iterdir())
    assert manifest
    assert [row.name for row in rows] == names
    assert {row.status for row in rows} == {"done"}
    assert all(row.labels_sha256 == found[f"{row.name}.png"] for row in rows)


def contents(folder: Path) -> dict[str, str]:
    """Return the hash of every file, hidden ones too."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


if __name__ == "__main__":
    main()
