"""`lookwider predict --max-memory`: large images go in tiles, small ones as ever."""

import json

import pytest
from PIL import Image
from tests.inference.large.made import network, picture, written
from typer.testing import CliRunner

from lookwider.cli import app
from lookwider.errors import ConfigError
from lookwider.inference.large.job import TiledJob
from lookwider.weights import save


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return save(network("pspnet"), tmp_path_factory.mktemp("run") / "best").parent


@pytest.fixture
def photos(tmp_path):
    written(tmp_path / "photos" / "large.tif", picture(130, 170))
    Image.fromarray(picture(20, 30)).save(tmp_path / "photos" / "small.png")
    return tmp_path / "photos"


def call(*arguments):
    return CliRunner().invoke(app, ["predict", *map(str, arguments)])


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_large_image_goes_in_tiles_and_the_small_one_does_not(run, photos, tmp_path):
    out = tmp_path / "out"
    result = call(run, photos, "--out", out, "--tile", "96")
    assert result.exit_code == 0, result.output
    assert names(out) == ["large.tif", "large_overlay.jpg", "small.png", "small_overlay.jpg"]
    assert "large: 4 tiles of 96 x 96 pixels, 2 passes, exact, with " in result.stderr
    again = call(run, photos, "--out", out, "--tile", "96", "--skip-existing", "--json")
    assert json.loads(again.stdout)["skipped"] == ["large", "small"]


def test_json_tells_of_the_tiles(run, photos, tmp_path):
    result = call(run, photos / "large.tif", "--out", tmp_path / "out", "--tile", "64", "--json")
    (tiled,) = json.loads(result.stdout)["tiled"]
    assert (tiled["tiles"], tiled["passes"], tiled["exact"]) == (9, 2, True)
    assert tiled["peak_memory"] > 10**8
    assert tiled["halo"] >= tiled["halo_needed"]


def test_tiles_that_are_not_exact_say_so(run, photos, tmp_path):
    image = photos / "large.tif"
    result = call(run, image, "--out", tmp_path / "out", "--tile", "64", "--halo", "0")
    assert "NOT exact: " in result.stderr
    assert "is exact" in result.stderr
    result = call(run, image, "--out", tmp_path / "out", "--tile", "64", "--own-context")
    assert "each with its own context" in result.stderr
    assert "class ids are in" in result.stderr
    assert "large.tif" in result.stderr.replace("\n", "")


def test_a_budget_that_is_enough_leaves_images_whole(run, photos, tmp_path):
    result = call(run, photos, "--out", tmp_path / "out", "--max-memory", "50GB")
    assert result.exit_code == 0, result.output
    assert "large.png" in names(tmp_path / "out")


def test_a_budget_too_small_is_told(run, photos, tmp_path):
    result = call(run, photos / "large.tif", "--out", tmp_path / "out", "--max-memory", "1MB")
    assert result.exit_code == 1
    assert "got a memory of 0.00 GB, expected at least" in result.stderr


def test_ctrl_c_keeps_the_tiles(run, photos, tmp_path, monkeypatch):
    def stop(self, tile):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TiledJob, "summarise", stop)
        result = call(run, photos, "--out", tmp_path / "out", "--tile", "96")
    assert result.exit_code == 130
    assert ".large.tiles" in names(tmp_path / "out")
    assert "Go on with: --skip-existing" in result.stderr
    result = call(run, photos, "--out", tmp_path / "out", "--tile", "96", "--skip-existing")
    assert result.exit_code == 0
    assert ".large.tiles" not in names(tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--halo", "3"], "got --halo 3 without tiles"),
        (["--own-context"], "got --own-context without tiles"),
        (["--tile", "64", "--halo", "3", "--own-context"], "got --halo 3 with --own-context"),
        (["--max-memory", "2"], "expected a size such as 500MB, 2GB or 4GiB"),
        (["--tile", "64", "--flip"], "tiles together with scales, flip, windows"),
        (["--tile", "64", "--shift-and-stitch", "2"], "tiles together with scales"),
        (["--tile", "64", "--probabilities"], "tiles together with --probabilities"),
        (["--tile", "64", "--workers", "2", "--flip"], "tiles together with scales, flip, windows"),
    ],
)
def test_options_that_do_not_fit(run, photos, tmp_path, options, message):
    result = call(run, photos, "--out", tmp_path / "out", *options)
    assert isinstance(result.exception, ConfigError)
    assert message in str(result.exception)
    assert not (tmp_path / "out").exists()
