"""Small images by one worker each, the tiles of large ones by all."""

import json
from typing import ClassVar

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from tests.inference.bulk import small
from typer.testing import CliRunner

from lookwider.classes import Classes
from lookwider.cli import app
from lookwider.errors import ConfigError
from lookwider.inference import find_images
from lookwider.inference.bulk import BulkJob, engines, predict_spread
from lookwider.inference.bulk import run as bulk_run
from lookwider.inference.bulk.orders import work_of
from lookwider.inference.bulk.tile_work import ImageJob
from lookwider.inference.large import Tiling
from lookwider.inference.large.choice import Tiler
from lookwider.inference.large.work import WorkFolder
from lookwider.inference.predictor import predict_files
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
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos") / "in"
    pixels = np.random.default_rng(0).integers(0, 256, (100, 150, 3), np.uint8)
    folder.mkdir()
    tifffile.imwrite(folder / "large.tif", pixels, tile=(64, 64), photometric="rgb")
    Image.fromarray(pixels[:40, :50]).save(folder / "small.png")
    return folder


@pytest.fixture(scope="module")
def expected(run, photos, tmp_path_factory):
    out = tmp_path_factory.mktemp("one")
    predict_files(load(run), find_images([photos]), out, tiling=TILING, show=False)
    return small.contents(out)


class InOneProcess:
    """An engine that does images and tiles here, one after the other."""

    workers: ClassVar[list[int]] = []

    def __init__(self, job, workers, console):
        self.job = job
        self.workers.append(workers)

    def segment(self, tasks):
        if not isinstance(self.job, ImageJob):
            yield from small.InOneProcess(self.job).segment(tasks)
            return
        with work_of(json.loads(json.dumps(self.job.to_json()))) as work:
            for task in tasks:
                for _, records in work.take(task.to_json()):
                    yield records


@pytest.fixture
def here(monkeypatch):
    monkeypatch.setattr(engines, "LocalWorkers", InOneProcess)
    monkeypatch.setattr(InOneProcess, "workers", [])


def call(*arguments):
    return CliRunner().invoke(app, ["predict", *map(str, arguments)])


def test_the_command_spreads_tiles_and_shares_out_small_images(
    run, photos, expected, tmp_path, here
):
    words = ("--out", tmp_path, "--tile", "64", "--workers", "3", "--device", "cpu", "--json")
    result = call(run, photos, *words)
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert sorted(said["written"]) == ["large", "small"]
    (tiled,) = said["tiled"]
    assert (tiled["name"], tiled["exact"], tiled["peak_memory"]) == ("large", True, None)
    assert said["manifest"] == str(tmp_path / "manifest.parquet")
    assert set(InOneProcess.workers) == {3}
    assert small.contents(tmp_path) == expected
    again = json.loads(call(run, photos, *words, "--skip-existing").stdout)
    assert sorted(again["skipped"]) == ["large", "small"]


def test_a_single_file_needs_no_manifest(run, photos, expected, tmp_path, here):
    image = photos / "large.tif"
    result = call(run, image, "--out", tmp_path, "--tile", "64", "--workers", "2", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["manifest"] is None
    found = small.contents(tmp_path)
    assert found == {name: expected[name] for name in ("large.tif", "large_overlay.jpg")}


def test_the_memory_is_for_all_processes_together(run, photos, tmp_path, here, monkeypatch):
    tilings = []

    def needs_tiles(self, path, name):
        tilings.append(self.tiling)
        return False

    monkeypatch.setattr(Tiler, "needs_tiles", needs_tiles)
    images = bulk_run.bulk_images(find_images([photos]))
    job = BulkJob(run, tmp_path, device="cpu")
    tiling = Tiling(max_memory=9_000_000_000)
    report = predict_spread(job, images, tiling=tiling, workers=2, show=False)
    assert {tiling.each for tiling in tilings} == {3_000_000_000}
    assert sorted(report.written) == ["large", "small"]
    assert (tmp_path / "large.png").is_file()


def test_an_older_result_beside_unfinished_tiles_is_done_again(
    run, photos, expected, tmp_path, here
):
    image = photos / "large.tif"
    (tmp_path / "large.tif").write_text("older")
    WorkFolder(tmp_path, "large").begin({"tile": 1})
    for words in (("--workers", "2"), ()):
        result = call(run, image, "--out", tmp_path, "--tile", "64", "--skip-existing", *words)
        assert result.exit_code == 0, result.output
        assert small.contents(tmp_path)["large.tif"] == expected["large.tif"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"probabilities": True}, "tiles together with --probabilities"),
        ({"shift_and_stitch": 2}, "tiles together with scales, flip, windows"),
    ],
)
def test_what_does_not_go_with_tiles(run, photos, tmp_path, options, message):
    job = BulkJob(run, tmp_path, device="cpu", **options)
    images = bulk_run.bulk_images(find_images([photos]))
    with pytest.raises(ConfigError, match=message):
        predict_spread(job, images, tiling=TILING, show=False)
    with pytest.raises(ConfigError, match="got workers=0"):
        predict_spread(BulkJob(run, tmp_path), images, tiling=TILING, workers=0, show=False)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_with_real_workers_the_bytes_are_those_of_one_process(
    run, photos, expected, tmp_path, engine
):
    job = BulkJob(run, tmp_path, device="cpu")
    images = bulk_run.bulk_images(find_images([photos / "large.tif"]))
    report = predict_spread(job, images, tiling=TILING, workers=2, engine=engine, show=False)
    assert report.written == ["large"]
    found = small.contents(tmp_path)
    assert found == {name: expected[name] for name in ("large.tif", "large_overlay.jpg")}
