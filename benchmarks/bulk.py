"""A bulk job: its rate beside the bare network's, its cost, and what random kills change.

    python benchmarks/bulk.py                 # rate, and the cost of ten times the images
    python benchmarks/bulk.py --kills 50      # workers and whole jobs killed at random

The pictures are made up, the network's weights random: neither changes the time.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
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
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--images", type=int, default=20, help="the cost is that of 10x as many")
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
        if given.kills:
            kills(folder, run, given)
        else:
            rate(folder, run, given)


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


def rate(folder: Path, run: Path, given: argparse.Namespace) -> None:
    """Print what an image costs: in the bare loop, and in a job once its workers run.

    The job's cost is that of many images less that of few, over the images between, so that
    starting the workers counts for nothing. Seconds of processors bear other work on the machine
    better than seconds of the clock.
    """
    pictures(folder / "many", 10 * given.images, given.size)
    model = load(run).compile_for_inference()
    arrays = [read_image(file.path) for file in find_images([folder / "few"])]
    torch.set_num_threads(max(1, (psutil.cpu_count() or 1) // given.workers))
    model.predict(arrays[0])
    bare = cost(lambda: [model.predict(array) for array in arrays * 3]) / (3 * len(arrays))
    print(f"bare loop: {bare[0]:.3f} s of a processor an image, {bare[1]:.3f} s by the clock")
    jobs = {
        name: cost(functools.partial(job, folder, run, given, name)) for name in ("few", "many")
    }
    for name, (busy, clock) in jobs.items():
        print(f"{name}: {busy:.1f} s of processors, {clock:.1f} s by the clock")
    more = (jobs["many"] - jobs["few"]) / (9 * given.images)
    print(
        f"{given.engine}, {given.workers} workers: {more[0]:.3f} s of a processor an image, "
        f"{more[0] / bare[0]:.1%} of the bare loop's; {more[1]:.3f} s by the clock"
    )


def job(folder: Path, run: Path, given: argparse.Namespace, name: str) -> None:
    """Run a job."""
    predict_bulk(
        BulkJob(run, folder / f"out-{name}"),
        bulk_images(find_images([folder / name])),
        workers=given.workers,
        engine=given.engine,
        show=False,
    )


def cost(work: Callable[[], object]) -> npt.NDArray[np.float64]:
    """Return the seconds of processors, this process's and its children's, and of the clock."""

    def now() -> npt.NDArray[np.float64]:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return np.array([sum(u.ru_utime + u.ru_stime for u in used), time.perf_counter()])

    before = now()
    work()
    return now() - before


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
