"""A tiny network, a folder of pictures, and an engine without processes."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from lookwider.inference import find_images, predict_files
from lookwider.inference.bulk import BulkJob
from lookwider.inference.bulk.pipeline import Pipeline
from lookwider.inference.bulk.run import bulk_images
from lookwider.weights import load


def pictures(folder: Path, count: int, scale: int = 1) -> Path:
    """Write pictures of three sizes, times a scale, some in a sub-folder."""
    rng = np.random.default_rng(0)
    (folder / "sub").mkdir(parents=True)
    for i in range(count):
        image = Image.fromarray(rng.integers(0, 256, (5, 7, 3), np.uint8))
        place = folder / "sub" if i % 4 == 0 else folder
        image.resize((scale * (40 + 8 * (i % 3)), scale * 36)).save(place / f"{i:03}.png")
    return folder


def images_in(folder: Path):
    return bulk_images(find_images([folder]))


def contents(out: Path) -> dict[str, str]:
    """Return the hash of every result, hidden files included, but not the manifest."""
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in out.rglob("*")
        if path.is_file() and path.name != "manifest.parquet"
    }


def one_process(run: Path, folder: Path, out: Path, **options) -> dict[str, str]:
    """Return the results of `predict_files`, which a job's must equal byte by byte."""
    predict_files(load(run), find_images([folder]), out, show=False, **options)
    return contents(out)


def children(words: str) -> Iterator[psutil.Process]:
    """Yield the processes below this one whose command has these words."""
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it ended meanwhile
            if words in " ".join(child.cmdline()):
                yield child


@contextmanager
def killing(words: str, begun: Callable[[], object]) -> Iterator[list[int]]:
    """Kill a process below this one, by its command, once work is begun; yield its number.

    To look for a process takes long beside others: that is done before its work is begun.
    """
    killed: list[int] = []
    over = threading.Event()

    def kill_one() -> None:
        child = None
        while not over.is_set() and not killed:
            if child is None:
                child = next(children(words), None)
            elif begun():
                child.kill()
                killed.append(child.pid)
            time.sleep(0.01)

    thread = threading.Thread(target=kill_one)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


class InOneProcess:
    """An engine that does the batches here, one after the other."""

    def __init__(self, job: BulkJob, *_: object) -> None:
        self.job = job

    def segment(self, batches):
        with Pipeline(self.job) as pipeline:
            for batch in batches:
                for _, records in pipeline.feed(batch):
                    yield records
            while not pipeline.idle:
                for _, records in pipeline.feed(None):
                    yield records
