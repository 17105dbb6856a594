"""Prediction in tiles: equal to one piece, and the same to the bit after any interruption."""

import numpy as np
import pytest
import tifffile
from PIL import Image
from tests.inference.large.made import CLASSES, network, picture, written

from lookwider.errors import ConfigError, DataError, LookwiderError
from lookwider.inference.large import Tiling, predict_large
from lookwider.inference.large.job import TiledJob
from lookwider.inference.large.rasters import gdal
from lookwider.inference.large.work import WorkFolder, model_identity
from lookwider.inference.large.writing import copy_image

PIXELS = picture(230, 270)
TILES = Tiling(tile=96)


@pytest.fixture(scope="module", params=["pspnet", "fcn32s", "parsenet"])
def model(request):
    return network(request.param)


@pytest.fixture(scope="module")
def pspnet():
    return network("pspnet")


def labels_in(path):
    with Image.open(path) as file:
        return np.asarray(file)


def files(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("kind", ["tiled.tif", "strips.tif", "a.png", "a.npy"])
def test_labels_are_those_of_one_piece(model, tmp_path, kind):
    path = tmp_path / kind
    if kind == "tiled.tif":
        written(path, PIXELS)
    elif kind == "a.npy":
        np.save(path, PIXELS)
    else:
        Image.fromarray(PIXELS).save(path)
    report = predict_large(model, path, tmp_path / "out", TILES, name="street/a")
    found = labels_in(tmp_path / "out" / "street" / "a.tif")
    whole = model.predict(PIXELS, probabilities=True)
    first, second = np.sort(whole.probabilities, 0)[[-1, -2]]
    clear = first - second > 1e-6
    assert clear.mean() > 0.95
    np.testing.assert_array_equal(found[clear], whole.labels[clear])
    assert len(np.unique(found)) > 1
    assert report.exact
    assert (report.tiles, report.size) == (9, (230, 270))
    assert report.finished_before == 0
    assert files(tmp_path / "out" / "street") == ["a.tif", "a_overlay.jpg"]


def test_the_label_map_has_colours_and_the_georeference(pspnet, tmp_path):
    place = (0.3, 0.0, 500_000.0, 0.0, -0.3, 4_600_000.0)
    path = written(tmp_path / "a.tif", PIXELS)
    with gdal("a test") as rasterio, rasterio.open(path, "r+") as file:
        file.crs, file.transform = "EPSG:32633", rasterio.Affine(*place)
    predict_large(pspnet, path, tmp_path / "out", TILES)
    with gdal("a test") as rasterio, rasterio.open(tmp_path / "out" / "a.tif") as file:
        assert (file.crs.to_epsg(), tuple(file.transform)[:6]) == (32633, place)
        assert file.colormap(1)[2] == (*CLASSES.palette[2], 255)
        assert file.profile["tiled"]
        assert file.compression.name == "deflate"


def test_the_overlay_is_small_and_of_the_means(pspnet, tmp_path, monkeypatch):
    monkeypatch.setattr("lookwider.inference.large.writing.PREVIEW_PART", 50)
    path = written(tmp_path / "a.tif", np.repeat(np.repeat(PIXELS[:100, :100], 9, 0), 25, 1))
    predict_large(pspnet, path, tmp_path / "out", Tiling(tile=700))
    with Image.open(tmp_path / "out" / "a_overlay.jpg") as file:
        assert file.size == (1250, 450)
    labels = labels_in(tmp_path / "out" / "a.tif")
    assert labels.shape == (900, 2500)


def test_with_their_own_context_tiles_say_something_else(pspnet, tmp_path):
    path = written(tmp_path / "a.tif", PIXELS)
    own = predict_large(pspnet, path, tmp_path / "own", Tiling(tile=96, own_context=True))
    assert not own.exact
    assert (own.passes, own.halo_needed) == (1, None)
    found = labels_in(tmp_path / "own" / "a.tif")
    assert found.shape == PIXELS.shape[:2]
    assert (found != pspnet.predict(PIXELS).labels).any()


def test_a_small_halo_says_how_far_it_may_differ(pspnet, tmp_path):
    path = written(tmp_path / "a.tif", PIXELS)
    report = predict_large(pspnet, path, tmp_path / "out", Tiling(tile=96, halo=0))
    assert not report.exact
    assert 0 < report.share_cut <= 1
    assert report.halo < report.halo_needed


class StoppedError(Exception):
    """What stops a prediction in these tests."""


def stop_after(steps):
    """Return a progress listener that raises after so many tiles."""
    told = []

    def tell(words):
        told.append(words)
        if sum("tile" in words and "pass" in words for words in told) > steps:
            raise StoppedError

    return tell


@pytest.mark.parametrize("own_context", [False, True])
def test_stopped_anywhere_it_goes_on_with_the_same_bytes(pspnet, tmp_path, own_context):
    tiling = Tiling(tile=96, own_context=own_context)
    path = written(tmp_path / "a.tif", PIXELS)
    whole = predict_large(pspnet, path, tmp_path / "whole", tiling)
    expected = (tmp_path / "whole" / "a.tif").read_bytes()
    steps = whole.tiles * whole.passes
    for done in (0, steps // 2, steps - 2):
        out = tmp_path / f"{done}"
        with pytest.raises(StoppedError):
            predict_large(pspnet, path, out, tiling, on_progress=stop_after(done))
        assert files(out) == [".a.tiles"]
        report = predict_large(pspnet, path, out, tiling)
        assert report.finished_before == done + 1
        assert (out / "a.tif").read_bytes() == expected
        assert files(out) == ["a.tif", "a_overlay.jpg"]


def test_a_damaged_file_of_the_work_folder_is_made_again(pspnet, tmp_path):
    path = written(tmp_path / "a.tif", PIXELS)
    predict_large(pspnet, path, tmp_path / "whole", TILES)
    with pytest.raises(StoppedError):
        predict_large(pspnet, path, tmp_path / "out", TILES, on_progress=stop_after(13))
    folder = tmp_path / "out" / ".a.tiles"
    (folder / "summaries" / "000004.safetensors").write_bytes(b"half")
    (folder / "labels" / "000002.npy").write_bytes(b"\x93NUMPY")
    report = predict_large(pspnet, path, tmp_path / "out", TILES)
    assert report.finished_before == 14 - 2
    whole, again = (tmp_path / folder / "a.tif" for folder in ("whole", "out"))
    assert whole.read_bytes() == again.read_bytes()


def test_another_image_model_or_setting_begins_anew_and_says_so(pspnet, tmp_path):
    path = written(tmp_path / "a.tif", PIXELS)
    out = tmp_path / "out"

    def again(model, tiling):
        told = []

        def tell(words):
            told.append(words)
            stop(words)

        stop = stop_after(2)
        with pytest.raises(StoppedError):
            predict_large(model, path, out, tiling, on_progress=tell)
        return [words.partition("is of ")[2] for words in told if "anew" in words]

    assert again(pspnet, TILES) == []
    assert again(pspnet, TILES) == []
    assert again(network("fcn32s"), TILES) == ["another model"]
    assert again(pspnet, Tiling(tile=64)) == ["another model and settings"]
    written(path, PIXELS[::-1])
    assert again(pspnet, Tiling(tile=64)) == ["another image"]


def test_models_are_told_apart_by_their_weights(pspnet):
    assert model_identity(pspnet) == model_identity(network("pspnet"))
    other = network("pspnet")
    next(other.parameters()).data.add_(1e-6)
    assert model_identity(pspnet) != model_identity(other)
    fast = pspnet.compile_for_inference()
    assert model_identity(fast) == model_identity(network("pspnet").compile_for_inference())
    assert model_identity(fast) != model_identity(other.compile_for_inference())


def test_a_truncated_image_ends_in_an_error_and_keeps_what_is_finished(pspnet, tmp_path):
    path = written(tmp_path / "a.tif", picture(700, 100))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(DataError, match=r"rows \d+ to \d+, columns.*finished so far are kept in"):
        predict_large(network("fcn32s"), path, tmp_path / "out", TILES)
    assert files(tmp_path / "out") == [".a.tiles"]
    assert files(tmp_path / "out" / ".a.tiles" / "labels")


@pytest.mark.parametrize("step", ["save_labels", "save_summary"])
def test_a_full_disk_ends_in_an_error_and_goes_on_later(pspnet, tmp_path, monkeypatch, step):
    path = written(tmp_path / "a.tif", PIXELS)
    real, calls = getattr(WorkFolder, step), []

    def full(self, index, content):
        calls.append(index)
        if len(calls) > 4:
            raise OSError(28, "No space left on device")
        real(self, index, content)

    with monkeypatch.context() as patch:
        patch.setattr(WorkFolder, step, full)
        message = r"No space left on device; .*kept in .*a.tiles: make room on the disk"
        with pytest.raises(LookwiderError, match=message):
            predict_large(pspnet, path, tmp_path / "out", TILES)
    assert files(tmp_path / "out") == [".a.tiles"]
    assert predict_large(pspnet, path, tmp_path / "out", TILES).finished_before >= 4


def test_a_label_map_that_was_not_written_whole_never_appears(pspnet, tmp_path, monkeypatch):
    path = written(tmp_path / "a.tif", PIXELS)
    real, calls = TiledJob.labels, []

    def changing(self, rows, cols):
        calls.append(rows)
        return real(self, rows, cols) + np.uint8(len(calls) > 1)

    monkeypatch.setattr(TiledJob, "labels", changing)
    with pytest.raises(LookwiderError, match="does not hold what was written"):
        predict_large(pspnet, path, tmp_path / "out", TILES)
    assert files(tmp_path / "out") == [".a.tiles"]


def test_a_copy_cut_off_in_the_middle_is_made_again(pspnet, tmp_path, monkeypatch):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")

    def stop(row, rows):
        if row > 100:
            raise StoppedError

    with monkeypatch.context() as patch:
        patch.setattr(
            "lookwider.inference.large.segment.copy_image",
            lambda image, target, on_rows: copy_image(image, target, stop),
        )
        with pytest.raises(StoppedError):
            predict_large(pspnet, tmp_path / "a.png", tmp_path / "out", TILES)
    assert files(tmp_path / "out" / ".a.tiles") == ["image.tif.part", "job.json"]
    predict_large(pspnet, tmp_path / "a.png", tmp_path / "out", TILES)
    predict_large(pspnet, written(tmp_path / "b.tif", PIXELS), tmp_path / "out", TILES)
    one, other = (labels_in(tmp_path / "out" / name) for name in ("a.tif", "b.tif"))
    np.testing.assert_array_equal(one, other)


def test_an_image_of_other_bands_is_refused_before_anything_is_written(pspnet, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", PIXELS[:, :, 0].astype(np.uint16), tile=(64, 64))
    with pytest.raises(LookwiderError, match="got an image of 1 bands, expected 3"):
        predict_large(pspnet, tmp_path / "a.tif", tmp_path / "out", TILES)
    assert not (tmp_path / "out").exists()


def test_a_network_that_mixes_all_places_is_refused(tmp_path):
    mixing = network("fcn32s", backbone="test_efficientnet")
    with pytest.raises(ConfigError, match="mixes all places of the image"):
        predict_large(mixing, written(tmp_path / "a.tif", PIXELS), tmp_path / "out", TILES)
    assert not (tmp_path / "out").exists()
