"""One image over several workers: the bytes of one process, whoever ends on the way."""

import json
import os
import signal
import threading
import time

import numpy as np
import psutil
import pytest
import tifffile
import torch
from tests.inference.bulk.small import contents

from lookwider.classes import Classes
from lookwider.errors import ConfigError, LookwiderError
from lookwider.inference.bulk import ImageJob, SharedTiles, engines
from lookwider.inference.bulk.orders import work_of
from lookwider.inference.bulk.tile_work import TileShare, TileWork
from lookwider.inference.large import Tiling, predict_large
from lookwider.inference.large.work import WorkFolder
from lookwider.models import create_model
from lookwider.weights import load, save

TILING = Tiling(tile=64)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    torch.manual_seed(0)
    classes = Classes.named(["a", "b", "c"])
    model = create_model("pspnet", backbone="test_resnet", output_stride=32, classes=classes)
    return save(model.eval(), tmp_path_factory.mktemp("run") / "best").parent


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    path = tmp_path_factory.mktemp("image") / "big.tif"
    pixels = np.random.default_rng(0).integers(0, 256, (150, 210, 3), np.uint8)
    tifffile.imwrite(path, pixels, tile=(64, 64), photometric="rgb")
    return path


@pytest.fixture(scope="module")
def expected(run, image, tmp_path_factory):
    out = tmp_path_factory.mktemp("one")
    assert predict_large(load(run), image, out, TILING).passes == 2
    return contents(out)


class InOneProcess:
    """An engine whose only worker does the shares in another order."""

    def __init__(self, job, workers, console):
        self.order = json.loads(json.dumps(job.to_json()))

    def segment(self, tasks):
        with work_of(self.order) as work:
            for task in reversed(tasks):
                for number, records in work.take(json.loads(json.dumps(task.to_json()))):
                    assert (number, work.take(None), work.idle) == (task.number, [], True)
                    yield records


def test_shares_are_put_together(run, image, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "LocalWorkers", InOneProcess)
    job, said = ImageJob(run, image, tmp_path, "big", device="cpu"), []
    report = predict_large(
        load(run), image, tmp_path, TILING, run=SharedTiles(job, 2), on_progress=said.append
    )
    assert (report.exact, report.finished_before) == (True, 0)
    assert contents(tmp_path) == expected
    assert any("summarise: 1 of 6 shares of the tiles, about" in words for words in said)
    assert any("label: 6 of 6 shares of the tiles" in words for words in said)


def test_what_was_finished_is_left_alone(run, image, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "LocalWorkers", InOneProcess)
    job = ImageJob(run, image, tmp_path, "big", device="cpu")
    take, shares = TileWork.take, []

    def stops(self, order):
        if len(shares) == 8:
            raise KeyboardInterrupt
        shares.append(order)
        return take(self, order)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TileWork, "take", lambda self, order: stops(self, order) if order else [])
        with pytest.raises(KeyboardInterrupt):
            predict_large(load(run), image, tmp_path, TILING, run=SharedTiles(job, 2))
    report = predict_large(load(run), image, tmp_path, TILING, run=SharedTiles(job, 2))
    assert report.finished_before > report.tiles
    assert contents(tmp_path) == expected


def prepared(run, image, out):
    """Leave a work folder behind, and return its job."""

    def stop(job, tell):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_large(load(run), image, out, TILING, run=stop)
    return ImageJob(run, image, out, "big", device="cpu")


def test_tiles_that_end_their_workers(run, image, tmp_path):
    job = prepared(run, image, tmp_path)
    share = TileShare(0, "summarise", (4, 5)).to_json()
    with TileWork(job) as work:
        for _ in range(3):
            work.attempts.begin("summarise 5")
        with pytest.raises(LookwiderError, match="3 workers ended in tile 5; is the memory"):
            work.take(share)
        assert list(job.attempts.iterdir()) == [], "it is given another chance the next time"
        work.take(share)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
@pytest.mark.parametrize("step", ["summarise", "label"])
def test_what_stops_a_worker_in_order_is_no_attempt(run, image, tmp_path, monkeypatch, error, step):
    job = prepared(run, image, tmp_path)
    kept = "save_summary" if step == "summarise" else "save_labels"

    def stop(self, index, content):
        raise error

    with TileWork(job) as work:
        if step == "label":
            work.take(TileShare(0, "summarise", tuple(range(12))).to_json())
        monkeypatch.setattr(WorkFolder, kept, stop)
        for number in range(4):
            with pytest.raises(type(error)):
                work.take(TileShare(number, step, (number, 5)).to_json())
    assert list(job.attempts.iterdir()) == []


def test_marks_of_an_earlier_command_are_forgotten(run, image, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "LocalWorkers", InOneProcess)
    job = prepared(run, image, tmp_path)
    with TileWork(job) as work:
        for _ in range(3):
            work.attempts.begin("summarise 0")
    predict_large(load(run), image, tmp_path, TILING, run=SharedTiles(job, 2))
    assert contents(tmp_path) == expected


def test_a_disk_that_fills_up_while_labels_are_written(run, image, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "LocalWorkers", InOneProcess)
    real, calls = WorkFolder.save_labels, []

    def full(self, index, labels):
        calls.append(index)
        if len(calls) > 3:
            raise OSError(28, "No space left on device")
        real(self, index, labels)

    job = ImageJob(run, image, tmp_path, "big", device="cpu")
    with monkeypatch.context() as patch:
        patch.setattr(WorkFolder, "save_labels", full)
        with pytest.raises(LookwiderError, match=r"No space left on device; .*make room on the"):
            predict_large(load(run), image, tmp_path, TILING, run=SharedTiles(job, 2))
    assert sorted(path.name for path in tmp_path.iterdir()) == [".big.tiles"]
    report = predict_large(load(run), image, tmp_path, TILING, run=SharedTiles(job, 2))
    assert report.finished_before == report.tiles + 3
    assert contents(tmp_path) == expected


def test_a_worker_of_another_model(run, image, tmp_path):
    job = prepared(run, image, tmp_path)
    model = create_model("fcn32s", backbone="test_resnet", classes=load(run).classes)
    other = save(model.eval(), tmp_path / "other" / "best").parent
    message = r"is of another model than .*other in float32 on cpu.*give --device"
    with pytest.raises(LookwiderError, match=message):
        TileWork(ImageJob(other, image, tmp_path, "big", device="cpu"))
    assert job.folder == tmp_path / ".big.tiles"


def test_own_context_is_done_in_order(run, image, tmp_path):
    job = ImageJob(run, image, tmp_path, "big", device="cpu")
    tiling = Tiling(tile=64, own_context=True)
    with pytest.raises(ConfigError, match="got tiles with their own context for several workers"):
        predict_large(load(run), image, tmp_path, tiling, run=SharedTiles(job, 2))


@pytest.mark.slow
def test_a_killed_worker_changes_nothing(run, image, expected, tmp_path):
    killed, over = [], threading.Event()

    def kill_one():
        while not over.is_set() and not killed:
            for child in psutil.Process().children():
                marks = list((tmp_path / ".big.tiles" / "attempts").glob("*"))
                if marks and not killed and "bulk.worker" in " ".join(child.cmdline()):
                    os.kill(child.pid, signal.SIGKILL)
                    killed.append(child.pid)
            time.sleep(0.01)

    thread = threading.Thread(target=kill_one)
    thread.start()
    job = ImageJob(run, image, tmp_path, "big", device="cpu")
    predict_large(load(run), image, tmp_path, TILING, run=SharedTiles(job, 2))
    over.set()
    thread.join()
    assert len(killed) == 1
    assert contents(tmp_path) == expected
