"""The work folder: one prediction at a time, and what it is for."""

import os
import subprocess
import sys

import pytest
from tests.inference.large.made import network, picture, written

from lookwider.errors import DataError, LookwiderError
from lookwider.inference.large import Tiling, is_finished, predict_large
from lookwider.inference.large.reading import open_windows
from lookwider.inference.large.work import WorkFolder, image_identity, network_identity

TILES = Tiling(tile=96)


@pytest.fixture(scope="module")
def model():
    return network("fcn32s")


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    return written(tmp_path_factory.mktemp("image") / "a.tif", picture(130, 170))


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_two_predictions_of_one_name_do_not_mix(model, image, tmp_path):
    said = []

    def second(job, tell):
        before = files(tmp_path)
        with pytest.raises(LookwiderError) as caught:
            predict_large(model, image, tmp_path, Tiling(tile=64))
        said.append(str(caught.value))
        assert files(tmp_path) == before == [".a.tiles", ".a.tiles.lock"]
        return job.run(tell)

    predict_large(model, image, tmp_path, TILES, run=second)
    assert f".a.tiles: process {os.getpid()} on " in said[0]
    assert "is working there, expected nobody; wait for its end" in said[0]
    assert files(tmp_path) == ["a.tif", "a_overlay.jpg"]


HOLD = """
import fcntl, os, sys
with open(sys.argv[1], "w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    print("process", os.getpid(), "on a machine", file=lock, flush=True)
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_goes_with_its_process(tmp_path):
    work = WorkFolder(tmp_path / "out", "street/a")
    lock = tmp_path / "out" / "street" / ".a.tiles.lock"
    lock.parent.mkdir(parents=True)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(LookwiderError, match=f"process {holder.pid} on"), work.locked():
            pass
        assert lock.exists()
        holder.kill()
    with work.locked():
        assert lock.exists()
    assert not lock.exists()
    assert files(tmp_path / "out") == ["street"], "another process made them"


def test_a_lock_leaves_nothing_behind(tmp_path):
    with WorkFolder(tmp_path / "out", "street/a").locked():
        assert files(tmp_path / "out" / "street") == [".a.tiles.lock"]
    assert not (tmp_path / "out").exists()


def test_a_lock_file_that_was_removed_before_it_was_held_is_not_taken(tmp_path, monkeypatch):
    lock, opened = tmp_path / ".a.tiles.lock", os.open

    def removed_meanwhile(path, *arguments):
        descriptor = opened(path, *arguments)
        if os.fspath(path) == os.fspath(lock):
            monkeypatch.undo()
            lock.unlink()
        return descriptor

    monkeypatch.setattr(os, "open", removed_meanwhile)
    with WorkFolder(tmp_path, "a").locked():
        assert lock.read_text().startswith(f"process {os.getpid()} on ")


def test_a_folder_that_cannot_be_removed_is_an_error(tmp_path, monkeypatch):
    work = WorkFolder(tmp_path, "a")
    work.begin({"tile": 1})
    work.save_summary(0, {})
    monkeypatch.setattr("lookwider.inference.large.work.shutil.rmtree", lambda *_, **__: None)
    with pytest.raises(LookwiderError, match=r"a.tiles: holds tiles .* cannot be removed"):
        work.begin({"tile": 2})
    assert work.job() is None


def test_device_and_dtype_are_part_of_what_a_folder_is_for(model, image, tmp_path):
    about = network_identity(model)
    assert (about["device"], about["dtype"]) == ("cpu", "torch.float32")

    def stop(job, tell):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_large(model, image, tmp_path, TILES, run=stop)
    work, told = WorkFolder(tmp_path, "a"), []
    work.begin((work.job() or {}) | {"device": "cuda", "dtype": "torch.bfloat16"})
    predict_large(model, image, tmp_path, TILES, on_progress=told.append)
    assert any("is of another device and dtype" in words for words in told)


def test_an_older_label_map_beside_unfinished_tiles_is_not_the_result(tmp_path):
    assert not is_finished(tmp_path, "a")
    (tmp_path / "a.tif").touch()
    (tmp_path / "b.png").touch()
    assert is_finished(tmp_path, "a")
    assert is_finished(tmp_path, "b")
    WorkFolder(tmp_path, "a").begin({"tile": 1})
    assert not is_finished(tmp_path, "a")


def test_an_image_that_cannot_be_read_is_said_as_such(model, image, tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"none.tif: cannot be read: .*No such file"):
        image_identity(tmp_path / "none.tif")

    class Failing:
        def read(self, window):
            raise OSError(5, "Input/output error")

    with open_windows(image) as opened:
        monkeypatch.setattr(opened, "_datasets", [Failing()])
        with pytest.raises(DataError, match=r"rows 0 to 8, columns 2 to 4 cannot be read: .*Input"):
            opened.read(slice(0, 9), slice(2, 5))


def test_a_missing_tile_is_not_called_a_full_disk(model, image, tmp_path):
    def run(job, tell):
        before = job.run(tell)
        next((tmp_path / ".a.tiles" / "labels").iterdir()).unlink()
        return before

    message = "a.tiles: tile . is missing or damaged, expected all.*does it anew"
    with pytest.raises(LookwiderError, match=message):
        predict_large(model, image, tmp_path, TILES, run=run)
    predict_large(model, image, tmp_path, TILES)
