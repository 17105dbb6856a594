"""Ray Data: actors, one of which is killed, and a cluster that is not there."""

import io
import os
import signal
import sys
import threading
import time

import psutil
import pytest
from rich.console import Console
from tests.inference.bulk import small

from lookwider.errors import LookwiderError, MissingExtraError
from lookwider.inference.bulk import BulkJob, predict_bulk
from lookwider.inference.bulk.manifest import read_manifest
from lookwider.inference.bulk.ray_engine import RayWorkers


def test_without_ray(run, folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lookwider\[ray\]'"):
        predict_bulk(BulkJob(run, tmp_path), small.images_in(folder), engine="ray", show=False)


class Cluster:
    def __init__(self, **there):
        self.there = there

    def cluster_resources(self):
        return self.there


@pytest.mark.parametrize(
    ("there", "workers", "expected"),
    [
        ({"CPU": 16.0, "GPU": 2.0}, 4, {"num_gpus": 0.5}),
        ({"CPU": 16.0, "GPU": 8.0}, 4, {"num_gpus": 1.0}),
        ({"CPU": 16.0}, 3, {"num_cpus": 5}),
        ({"CPU": 2.0}, 4, {"num_cpus": 0.5}),
    ],
)
def test_all_actors_fit(tmp_path, there, workers, expected):
    engine = RayWorkers(BulkJob(tmp_path, tmp_path), workers)
    assert engine.resources(Cluster(**there)) == expected
    on_cores = RayWorkers(BulkJob(tmp_path, tmp_path, device="cpu"), workers)
    assert "num_gpus" not in on_cores.resources(Cluster(**there))


@pytest.mark.slow
def test_a_killed_actor_changes_nothing(run, folder, expected, tmp_path):
    out, killed, over = tmp_path / "out", [], threading.Event()

    def kill_one():
        while not over.is_set() and not killed:
            for child in psutil.Process().children(recursive=True):
                marks = list((out / ".manifest" / "attempts").glob("*"))
                if marks and not killed and "_Segmentation" in " ".join(child.cmdline()):
                    os.kill(child.pid, signal.SIGKILL)
                    killed.append(child.pid)
            time.sleep(0.01)

    thread = threading.Thread(target=kill_one)
    thread.start()
    console = Console(file=io.StringIO(), width=200)
    job = BulkJob(run, out, device="cpu", batch_size=2)
    images = small.images_in(folder)
    report = predict_bulk(job, images, workers=2, engine="ray", console=console)
    over.set()
    thread.join()
    assert len(killed) == 1
    assert small.contents(out) == expected
    assert sorted(report.written) == sorted(set(report.written))
    assert len(read_manifest(out / "manifest.parquet")) == len(report.written) + 1 == 13


@pytest.mark.slow
def test_what_ends_a_job_is_said(run, folder, tmp_path):
    images = small.images_in(folder)
    job = BulkJob(run, tmp_path / "out", shift_and_stitch=3, device="cpu")
    with pytest.raises(LookwiderError, match="got shift_and_stitch=3, expected a divisor"):
        predict_bulk(job, images, engine="ray", show=False)
    with pytest.raises(LookwiderError, match=r"where no Ray cluster answers: .*ray start --head"):
        predict_bulk(job, images, engine="ray", address="auto", show=False)
