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
    """An engine whose workers do a share each, one after the other."""

    def __init__(self, job, workers, console):
        self.order = json.loads(json.dumps(job.to_json()))

    def segment(self, tasks):
        for task in reversed(tasks):
            with work_of(self.order) as work:
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
    with TileWork(job) as work:
        for _ in range(3):
            work.attempts.begin("summarise 0")
        with pytest.raises(LookwiderError, match="3 workers ended in tiles 4 to 5; is the memory"):
            work.take(TileShare(0, "summarise", (4, 5)).to_json())


def test_a_worker_of_another_model(run, image, tmp_path):
    job = prepared(run, image, tmp_path)
    model = create_model("fcn32s", backbone="test_resnet", classes=load(run).classes)
    other = save(model.eval(), tmp_path / "other" / "best").parent
    with pytest.raises(LookwiderError, match=r"is of another model than .*other in float32"):
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
