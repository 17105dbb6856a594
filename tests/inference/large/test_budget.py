"""Tiles chosen from a memory budget, and kept to."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from tests.inference.large.made import huge, network, picture, written

from lookwider.errors import ConfigError
from lookwider.inference import memory
from lookwider.inference.large import Tiling
from lookwider.inference.large.budget import (
    Cost,
    chosen_tile,
    fits_whole,
    largest_tile,
    make_plan,
    measured_cost,
    parse_memory,
    tile_memory,
)
from lookwider.inference.large.choice import Tiler, check_tiled
from lookwider.inference.predictor import find_images, predict_files


@pytest.mark.parametrize(
    ("text", "size"),
    [("500MB", 500 * 10**6), ("2GB", 2 * 10**9), ("1.5 gib", 3 * 2**29), ("64MiB", 2**26)],
)
def test_sizes_in_words(text, size):
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["2", "GB", "2TBB", "-1GB", ""])
def test_what_is_no_size(text):
    with pytest.raises(ConfigError, match="expected a size such as 500MB, 2GB or 4GiB"):
        parse_memory(text)


def test_a_tiling_needs_something_to_choose_by():
    with pytest.raises(ConfigError, match="got neither max_memory nor tile"):
        Tiling()
    with pytest.raises(ConfigError, match="got tile=0, expected a positive number"):
        Tiling(tile=0)


@pytest.mark.parametrize("own_context", [False, True])
def test_the_largest_tile_uses_the_budget_and_no_more(monkeypatch, own_context):
    model, cost = network("pspnet"), Cost(base=1000, pixel=100)
    sizes = []

    def bytes_of(model, size):
        sizes.append(size)
        return 1000 + 100 * size[0] * size[1]

    monkeypatch.setattr("lookwider.inference.large.budget.tile_memory", bytes_of)
    tiling = Tiling(max_memory=100_000_000, own_context=own_context)
    side = largest_tile(model, (9000, 9000), tiling, cost)
    window = make_plan(model, (9000, 9000), side, tiling).largest_window
    assert sizes == [window]
    assert window[0] * window[1] <= cost.pixels(100_000_000)
    assert side % 32 == 0
    wider = make_plan(model, (9000, 9000), side + 64, tiling).largest_window
    assert own_context or wider[0] * wider[1] > cost.pixels(100_000_000)


def test_a_tile_that_takes_more_than_planned_is_made_smaller(monkeypatch):
    model = network("fcn32s")
    monkeypatch.setattr(
        "lookwider.inference.large.budget.tile_memory", lambda model, size: 200 * size[0] * size[1]
    )
    tiling = Tiling(max_memory=100_000_000)
    side = largest_tile(model, (9000, 9000), tiling, Cost(base=0, pixel=100))
    window = make_plan(model, (9000, 9000), side, tiling).largest_window
    assert 0.5 * 100_000_000 < 200 * window[0] * window[1] <= 100_000_000


def test_a_budget_too_small_says_how_much_is_needed():
    with pytest.raises(ConfigError, match=r"got a memory of 0.00 GB, expected at least 1\.\d+ GB"):
        largest_tile(
            network("pspnet"), (9000, 9000), Tiling(max_memory=1000), Cost(base=1e9, pixel=1000)
        )


def test_a_tile_costs_what_is_measured():
    model = network("fcn32s").compile_for_inference()
    cost = measured_cost(model)
    assert 1e8 < cost.base < 1e10
    assert 50 < cost.pixel < 50_000
    assert tile_memory(model, (768, 768)) == pytest.approx(cost.base + cost.pixel * 768**2, rel=0.3)


class Measured:
    """Memory of made-up tiles: the first holds more, as what is loaded and prepared once does."""

    def __init__(self, pixel):
        self.pixel, self.sides = pixel, []

    def __call__(self, model, size):
        self.sides.append(size[0])
        return 1000 + self.pixel * size[0] * size[1] + 10**9 * (len(self.sides) == 1)


@pytest.mark.parametrize(
    ("pixel", "budget", "sides"),
    [
        (3000, None, [128, 128, 256]),
        (300, None, [128, 128, 256, 512, 1024]),
        (300, 10**8, [128, 128, 256, 512]),
        (40, None, [128, 128, 256, 512, 1024, 2048]),
    ],
)
def test_made_up_tiles_grow_until_a_pixels_cost_is_clear(monkeypatch, pixel, budget, sides):
    measured = Measured(pixel)
    monkeypatch.setattr("lookwider.inference.large.budget.tile_memory", measured)
    cost = measured_cost(network("fcn32s"), budget)
    assert (cost.base, cost.pixel) == (1000, pixel)
    assert measured.sides == sides


def test_no_pixel_takes_less_than_the_networks_input(monkeypatch):
    monkeypatch.setattr("lookwider.inference.large.budget.tile_memory", lambda model, size: 10**9)
    assert measured_cost(network("fcn32s")).pixel == 4 * (3 + 1)


def test_a_tile_that_does_not_fit_is_refused_with_the_largest_that_does(monkeypatch):
    model, cost = network("fcn32s"), Cost(base=0, pixel=100)
    monkeypatch.setattr(
        "lookwider.inference.large.budget.tile_memory", lambda model, size: 100 * size[0] * size[1]
    )
    largest = largest_tile(model, (9000, 9000), Tiling(max_memory=10**8), cost)
    fits = Tiling(tile=largest, max_memory=10**8)
    assert chosen_tile(model, (9000, 9000), fits, cost) == largest
    assert chosen_tile(model, (130, 170), Tiling(tile=9000, max_memory=10**8), cost) == 9000
    message = rf"got tiles of 5000 pixels.* memory of 0.10 GB; expected at most --tile {largest}"
    with pytest.raises(ConfigError, match=message):
        chosen_tile(model, (9000, 9000), Tiling(tile=5000, max_memory=10**8), cost)


def test_processes_share_the_memory():
    tiling = Tiling(max_memory=3_000_000, processes=3)
    assert (tiling.each, tiling.whole) == (10**6, 10**6 // 48)
    message = r"got a memory of 0.00 GB for 3 processes, expected at least 3\.\d+ GB"
    with pytest.raises(ConfigError, match=message):
        largest_tile(network("fcn32s"), (9000, 9000), tiling, Cost(base=1e9, pixel=1000))


def test_where_the_system_does_not_tell_the_tile_is_asked_for(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "STATUS", tmp_path / "status")
    monkeypatch.setattr(memory, "FORGET", tmp_path / "none" / "forget")
    with pytest.raises(ConfigError, match="give the size of the tiles instead: --tile 1024"):
        tile_memory(network("fcn32s"), (32, 32))
    assert memory.peak_memory(torch.device("cpu")) is None


def test_which_images_go_in_tiles(tmp_path, monkeypatch):
    path = written(tmp_path / "a.tif", picture(100, 200))
    np.save(tmp_path / "a.npy", picture(100, 200))
    tifffile.imwrite(
        tmp_path / "bands.tif",
        picture(100, 200, 7),
        photometric="minisblack",
        planarconfig="contig",
    )
    model = network("fcn32s")
    for name in ("a.tif", "a.npy", "bands.tif"):
        for side, expected in ((199, True), (200, False)):
            tiler = Tiler(model, tmp_path, Tiling(tile=side))
            assert tiler.needs_tiles(tmp_path / name, "a") is expected
    (tmp_path / "text.tif").write_text("text")
    (tmp_path / "text.png").write_text("text")
    for name in ("none.tif", "text.tif", "text.png"):
        assert not Tiler(model, tmp_path, Tiling(tile=1)).needs_tiles(tmp_path / name, "a")
    monkeypatch.setattr(
        "lookwider.inference.large.choice.measured_cost",
        lambda model, budget: Cost(base=0, pixel=36),
    )
    assert fits_whole(Cost(0, 36), (100, 200), 2_400_000)
    for budget, expected in ((2_300_000, True), (2_400_000, False)):
        tiler = Tiler(model, tmp_path, Tiling(max_memory=budget))
        assert tiler.needs_tiles(path, "a") is expected


def test_an_image_that_needs_a_missing_library_does_not_stop_the_others(tmp_path, monkeypatch):
    bands = {"photometric": "minisblack", "planarconfig": "contig"}
    tifffile.imwrite(tmp_path / "bands.tif", picture(100, 200, 7), **bands)
    Image.fromarray(picture(40, 50)).save(tmp_path / "small.png")
    monkeypatch.setitem(sys.modules, "rasterio", None)
    monkeypatch.setitem(sys.modules, "tifffile", None)
    report = predict_files(
        network("fcn32s"),
        find_images([tmp_path]),
        tmp_path / "out",
        tiling=Tiling(tile=64),
        show=False,
    )
    assert report.written == ["small"]
    (failure,) = report.failed
    assert "pip install 'lookwider[geo]'" in failure.reason


def test_what_does_not_go_with_tiles():
    check_tiled(plain=True, probabilities=False)
    with pytest.raises(ConfigError, match="tiles together with scales, flip, windows"):
        check_tiled(plain=False, probabilities=False)
    with pytest.raises(ConfigError, match="tiles together with --probabilities"):
        check_tiled(plain=True, probabilities=True)


MEASURED = """
import sys
from lookwider.inference.memory import status_bytes
from lookwider.inference.large import Tiling, predict_large
from tests.inference.tiles.small import narrow_fcn, prepared

model = prepared(narrow_fcn("alexnet", 32)).float()
report = predict_large(model, sys.argv[1], sys.argv[2], Tiling(max_memory=1_500_000_000))
assert report.exact
print(report.peak_memory, status_bytes("VmHWM"))
"""


@pytest.mark.slow
def test_20000_squared_stays_within_its_budget(tmp_path):
    image = huge(tmp_path / "a.tif", 20_000)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, image, tmp_path / "out"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert done.returncode == 0, done.stderr
    assert max(map(int, done.stdout.split())) < 1_500_000_000
    with tifffile.TiffFile(tmp_path / "out" / "a.tif") as file:
        assert file.pages[0].shape == (20_000, 20_000)
