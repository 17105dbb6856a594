"""Ray Data: actors and jobs that are killed, a cluster that is not there."""

import subprocess
import sys
import time

import pyarrow as pa
import pytest
from tests.inference.bulk import small

from lookwider.errors import LookwiderError, MissingExtraError
from lookwider.inference.bulk import BulkJob, predict_bulk, ray_engine
from lookwider.inference.bulk.manifest import read_manifest
from lookwider.inference.bulk.network import DeviceLostError
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


def test_no_tasks_need_no_ray(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert list(RayWorkers(BulkJob(tmp_path, tmp_path), 1).segment([])) == []


def test_an_actor_that_lost_its_device_dies(monkeypatch):
    class Work:
        def take(self, order):
            raise DeviceLostError("lost")

    class DiedError(Exception):
        pass

    def die():
        raise DiedError

    monkeypatch.setattr(ray_engine, "work_of", lambda job: Work())
    monkeypatch.setattr(ray_engine, "die", die)
    with pytest.raises(DiedError):
        ray_engine._Segmentation("{}")(pa.table({"order": ["[0, []]"]}))


def test_no_cluster(run, folder, tmp_path, monkeypatch):
    said = r"where no Ray cluster answers: nobody; start one with: ray start --head"

    def nobody(**_):
        raise ConnectionError("nobody")

    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr("ray.init", nobody)
    job, images = BulkJob(run, tmp_path / "out", device="cpu"), small.images_in(folder)
    with pytest.raises(LookwiderError, match=f"got the address ray://head, {said}"):
        predict_bulk(job, images, engine="ray", address="ray://head", show=False)


@pytest.fixture(scope="module")
def ray():
    """A cluster of this module's tests."""
    with ray_engine.ray_cluster(None, 1) as ray:
        yield ray


DRIVER = """
import sys
from pathlib import Path
from lookwider.inference import find_images
from lookwider.inference.bulk import BulkJob, predict_bulk
from lookwider.inference.bulk.run import bulk_images
run, folder, out, address = sys.argv[1:]
images = bulk_images(find_images([folder]))
predict_bulk(BulkJob(Path(run), Path(out), device="cpu"), images, engine="ray", address=address)
"""


def files(out):
    """Return how many label maps are there, those included that are being written."""
    return len(list(out.rglob("*.png")))


@pytest.mark.slow
def test_killed_jobs_and_actors_go_on(ray, run, slow_folder, slow_expected, tmp_path):
    address = ray.get_runtime_context().gcs_address
    command = [sys.executable, "-c", DRIVER, run, slow_folder, tmp_path, address]
    driver = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while not files(tmp_path):
        assert driver.poll() is None
        time.sleep(0.01)
    driver.kill()
    driver.wait()
    assert not (tmp_path / "manifest.parquet").exists()
    while list(small.children("_Segmentation")):
        time.sleep(0.01)
    job, before = BulkJob(run, tmp_path, device="cpu"), files(tmp_path)
    with small.killing("_Segmentation", lambda: files(tmp_path) > before) as killed:
        report = predict_bulk(job, small.images_in(slow_folder), engine="ray", show=False)
    assert len(killed) == 1
    assert small.contents(tmp_path) == slow_expected
    done = report.written + report.skipped
    rows = read_manifest(tmp_path / "manifest.parquet")
    assert sorted(done) == sorted(row.name for row in rows if row.status == "done")
    assert len(done) == len(rows) == 8


@pytest.mark.slow
def test_what_ends_a_job_is_said(ray, run, folder, tmp_path):
    job = BulkJob(run, tmp_path / "out", shift_and_stitch=3, device="cpu")
    with pytest.raises(LookwiderError, match="got shift_and_stitch=3, expected a divisor"):
        predict_bulk(job, small.images_in(folder), engine="ray", show=False)
