"""Answers are what `lookwider predict` writes, in every format, alone and together."""

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from tests.web.served import CLASSES, encoded, picture, running
from tests.web.test_shapes import decode, rasterise

from lookwider import load
from lookwider.errors import ConfigError
from lookwider.inference.large.budget import Cost
from lookwider.models import create_model
from lookwider.web import computing
from lookwider.web.answers import SegmentationAnswer
from lookwider.web.computing import segment_in_tiles, segment_together
from lookwider.web.models import ServedModels
from lookwider.weights import save

SIZES = ((40, 52), (33, 47), (1, 1), (7, 90))


def labels_of(answer):
    assert answer.status_code == 200, answer.text
    with Image.open(io.BytesIO(answer.content)) as image:
        assert image.mode == "P"
        assert tuple(image.getpalette()[:9]) == tuple(v for c in CLASSES.palette for v in c)
        return np.asarray(image)


@pytest.mark.parametrize("name", ["plain", "wide"])
@pytest.mark.parametrize("size", SIZES)
def test_png_labels_are_those_of_predict(server, runs, name, size):
    image = picture(*size)
    answer = server.segment(encoded(image), model=name, format="png")
    assert answer.headers["content-type"] == "image/png"
    np.testing.assert_array_equal(labels_of(answer), load(runs / name).predict(image).labels)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "WEBP", "TIFF", "PPM", "JPEG", "GIF"])
def test_formats_are_told_by_content(server, runs, tmp_path, kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encoded(picture(40, 52), kind, **options)
    (tmp_path / f"a.{kind.lower()}").write_bytes(content)
    expected = load(runs / "plain").predict(tmp_path / f"a.{kind.lower()}").labels
    found = server.client.post(
        "/v1/segment?format=png", content=content, headers={"Content-Type": "text/plain"}
    )
    np.testing.assert_array_equal(labels_of(found), expected)


def test_orientation_is_applied_and_arrays_are_read(server, runs):
    model, image = load(runs / "plain"), picture(40, 52)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = labels_of(server.segment(encoded(image, exif=exif), format="png"))
    np.testing.assert_array_equal(turned, model.predict(np.rot90(image, -1)).labels)
    buffer = io.BytesIO()
    np.save(buffer, image.astype(np.float32))
    as_array = labels_of(server.segment(buffer.getvalue(), format="png"))
    np.testing.assert_array_equal(as_array, model.predict(image).labels)


def test_a_form_gives_the_same_as_a_body(server):
    content = encoded(picture(40, 52))
    form = server.client.post(
        "/v1/segment?format=png",
        files={"image": ("../../etc/passwd", content, "text/html")},
        data={"note": "not used"},
    )
    assert form.content == server.segment(content, format="png").content


def test_the_overlay_is_that_of_the_prediction(server, runs):
    image = picture(40, 52)
    answer = server.segment(encoded(image), format="overlay", opacity=0.3)
    assert answer.headers["content-type"] == "image/jpeg"
    with Image.open(io.BytesIO(answer.content)) as found:
        shown = np.asarray(found).astype(int)
    expected = np.asarray(load(runs / "plain").predict(image).overlay(0.3)).astype(int)
    assert np.abs(shown - expected).mean() < 3


def test_json_holds_areas_confidences_and_exact_masks(server, runs):
    image = picture(40, 52)
    answer = server.segment(encoded(image), model="wide", masks="both")
    found = SegmentationAnswer.model_validate_json(answer.content)
    expected = load(runs / "wide").predict(image, probabilities=True)
    assert (found.model, found.height, found.width) == ("wide", 40, 52)
    assert [one.id for one in found.classes] == np.unique(expected.labels).tolist()
    assert len(found.classes) > 1
    for one in found.classes:
        mask = expected.labels == one.id
        assert one.name == CLASSES.names[one.id]
        assert bytes.fromhex(one.colour[1:]) == bytes(CLASSES.palette[one.id])
        assert one.pixels == mask.sum()
        assert one.area == pytest.approx(expected.areas()[one.name])
        assert one.confidence == pytest.approx(
            expected.probabilities[one.id][mask].mean(), abs=1e-5
        )
        assert one.rle.size == (40, 52)
        np.testing.assert_array_equal(decode(one.rle.counts, (40, 52)), mask)
        np.testing.assert_array_equal(rasterise(one.polygons, (40, 52)), mask)


def test_masks_are_left_out_and_simplified(server):
    content = encoded(picture(60, 80))
    none = server.segment(content, masks="none").json()
    assert "rle" not in none["classes"][0]
    assert "polygons" not in none["classes"][0]
    exact, fewer = (
        sum(
            len(ring)
            for one in server.segment(content, masks="polygons", simplify=value).json()["classes"]
            for rings in one["polygons"]
            for ring in rings
        )
        for value in (0, 3)
    )
    assert fewer < exact / 2


def test_masks_of_too_many_numbers_are_refused(server, monkeypatch):
    monkeypatch.setattr("lookwider.web.answers.MOST_NUMBERS", 10)
    for masks in ("rle", "polygons"):
        answer = server.segment(encoded(picture(40, 52)), masks=masks)
        assert answer.status_code == 422
        assert "format=png" in answer.json()["fix"]


def test_images_that_come_together_get_their_own_answers(models, runs):
    model = load(runs / "wide")
    images = [picture(40, 52, seed) for seed in range(6)] + [picture(33, 47, 9)]
    with running(models, batch_wait=0.2) as server, ThreadPoolExecutor(7) as threads:
        with models.computing():  # until all are there
            answers = [
                threads.submit(server.segment, encoded(image), model="wide", format="png")
                for image in images
            ]
            server.until(lambda: server.service.batcher.waiting_pixels >= 5 * 40 * 52)
        for image, answer in zip(images, answers, strict=True):
            np.testing.assert_array_equal(labels_of(answer.result()), model.predict(image).labels)
        text = server.client.get("/metrics").text
    assert 'lookwider_images_total{model="wide"} 7.0' in text
    batches = float(text.split("lookwider_batch_images_count ")[1].split()[0])
    assert batches < 7


def test_confidence_in_strips_is_that_of_all_at_once(runs, monkeypatch):
    model, image = load(runs / "wide"), picture(45, 38)
    whole = model.predict(image, probabilities=True)
    [found] = segment_together(model, [image], [True])
    monkeypatch.setattr(computing, "STRIP_NUMBERS", 38 * 3 * 7)
    [strips] = segment_together(model, [image], [True])
    for one in (found, strips):
        for number in range(3):
            mask = whole.labels == number
            expected = whole.probabilities[number][mask].mean() if mask.any() else np.nan
            np.testing.assert_allclose(one.confidence[number], expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["plain", "wide"])
def test_tiles_give_the_labels_and_confidences_of_the_whole(runs, name):
    model, image = load(runs / name), picture(500, 620)
    [whole] = segment_together(model, [image], [True])
    seen = []
    tiles = segment_in_tiles(model, image, 250_000, True, lambda: seen.append(1))
    assert tiles.tiles > 1
    assert len(seen) == tiles.tiles * (2 if name == "wide" else 1)
    assert (tiles.labels != whole.labels).mean() < 1e-4
    np.testing.assert_allclose(tiles.confidence, whole.confidence, atol=1e-4)


def test_large_images_go_in_tiles_or_are_refused(models, runs):
    image = picture(500, 620)
    expected = load(runs / "wide").predict(image).labels
    with running(models) as server:
        server.service.batcher.prepare(models["wide"])
        server.service.batcher._at_once["wide"] = 250_000
        found = labels_of(server.segment(encoded(image), model="wide", format="png"))
        server.service.batcher._at_once["wide"] = 100
        refused = server.segment(encoded(image), model="wide", format="png")
    assert (found != expected).mean() < 1e-4
    assert refused.status_code == 413
    assert "neither whole nor in tiles" in refused.json()["got"]


def test_models_of_many_bands_take_arrays_of_as_many(tmp_path):
    model = create_model("fcn32s", backbone="test_resnet", classes=CLASSES, in_channels=5)
    models = ServedModels.open(save(model.eval(), tmp_path / "bands" / "best").parent, "cpu")
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 5), np.uint8)
    buffer = io.BytesIO()
    np.save(buffer, pixels)
    with running(models) as server:
        found = server.segment(buffer.getvalue(), format="png")
        refused = server.segment(encoded(picture(20, 30)))
    np.testing.assert_array_equal(labels_of(found), model.predict(pixels).labels)
    assert refused.status_code == 422
    assert "got an image of 3 bands, expected 5" in refused.json()["fix"]


def test_pixels_at_once_grow_with_the_memory(runs, monkeypatch):
    model = load(runs / "plain")
    monkeypatch.setattr(computing, "measured_cost", lambda model, memory: Cost(10**8, 1000))
    assert computing.pixels_at_once(model, 10**9) == 850_000
    monkeypatch.setattr(computing, "measured_cost", lambda model, memory: Cost(10**8, 10))
    assert computing.pixels_at_once(model, 10**9) == 1_700_000  # no less than 500 bytes each


def test_systems_that_do_not_tell_their_memory_get_a_fixed_number(runs, monkeypatch):
    def refuse(model, memory):
        raise ConfigError("this system does not tell")

    monkeypatch.setattr(computing, "measured_cost", refuse)
    assert computing.pixels_at_once(load(runs / "plain"), 10**9) == computing.UNMEASURED_PIXELS
