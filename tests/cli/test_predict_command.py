"""`lookwider predict`: exit codes, the table of failures, JSON, Ctrl-C."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from lookwider.classes import Classes
from lookwider.cli import app
from lookwider.errors import ConfigError, DataError
from lookwider.inference import named_protocol, predict_image
from lookwider.inference.progress import ImageProgress
from lookwider.models import create_model
from lookwider.weights import load, save


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    model = create_model("fcn32s", backbone="test_resnet", classes=Classes.named(["a", "b"]))
    return save(model, tmp_path_factory.mktemp("run") / "best").parent


@pytest.fixture
def photos(tmp_path):
    for name in ("a.png", "sub/b.jpg"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (12, 9)).save(path)
    return tmp_path / "photos"


def call(*arguments):
    return CliRunner().invoke(app, ["predict", *map(str, arguments)])


def test_all_good(run, photos, tmp_path):
    result = call(run, photos, "--out", tmp_path / "out", "--probabilities")
    assert result.exit_code == 0, result.output
    written = sorted(
        path.relative_to(tmp_path / "out").as_posix()
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    )
    assert written == [
        "a.png",
        "a_overlay.jpg",
        "a_probabilities.npz",
        "sub/b.png",
        "sub/b_overlay.jpg",
        "sub/b_probabilities.npz",
    ]
    assert "2 of 2 images segmented" in result.stderr
    assert "next: look at" in result.stderr


def test_some_failed_and_a_second_call_skips(run, photos, tmp_path):
    (photos / "[red]broken.png").write_text("x")
    for expected in ("2 of 3 images segmented", "2 were there already"):
        result = call(run, photos, "--out", tmp_path / "out", "--skip-existing")
        assert result.exit_code == 1
        assert expected in result.stderr
        assert "not an image" in result.stderr
    result = call(run, photos, "--out", tmp_path / "out", "--skip-existing", "--json")
    content = json.loads(result.stdout)
    assert (content["written"], content["skipped"]) == ([], ["a", "sub/b"])
    assert content["failed"][0]["path"].endswith("[red]broken.png")


def test_names_that_are_no_text_are_reported_and_segmented(run, tmp_path):
    (tmp_path / "in").mkdir()
    strange = tmp_path / "in" / b"caf\xe9.png".decode("utf-8", "surrogateescape")
    Image.new("RGB", (5, 5)).save(strange)
    (tmp_path / "in" / b"bad\xe9.png".decode("utf-8", "surrogateescape")).write_text("x")
    result = call(run, tmp_path / "in", "--out", tmp_path / "out")
    assert result.exit_code == 1, result.output
    assert "bad\\udce9" in result.stderr
    assert "1 of 2 images segmented" in result.stderr


def test_ctrl_c_says_how_to_go_on(run, photos, tmp_path, monkeypatch):
    def stop(self, images=1, note=""):
        raise KeyboardInterrupt

    monkeypatch.setattr(ImageProgress, "advance", stop)
    result = call(run, photos, "--out", tmp_path / "out")
    assert result.exit_code == 130
    assert "1 of 2 images segmented" in result.stderr
    assert "--skip-existing" in result.stderr


def test_nothing_to_segment(run, tmp_path):
    result = call(run, tmp_path / "nowhere", "--out", tmp_path / "out")
    assert isinstance(result.exception, DataError)
    assert "no such file or folder" in str(result.exception)


def test_a_protocol_by_its_options(tmp_path):
    classes = Classes.named(["a", "b"])
    model = create_model("fcn32s", backbone="test_resnet", classes=classes, zero_scores=False)
    run = save(model.eval(), tmp_path / "run" / "best").parent
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    options = ("--protocol", "pspnet", "--scales", "0.5,1.25", "--crop-size", "32,40")
    more = ("--base-size", "60", "--stride-rate", "0.5", "--no-flip", "--batch-size", "3")
    out = tmp_path / "out"
    result = call(run, tmp_path / "a.png", "--out", out, *options, *more, "--probabilities")
    assert result.exit_code == 0, result.output
    protocol = named_protocol(
        "pspnet",
        scales=(0.5, 1.25),
        crop_size=(32, 40),
        base_size=60,
        stride_rate=0.5,
        flip=False,
    )
    with np.load(out / "a_probabilities.npz") as arrays:
        found = arrays["probabilities"].astype(np.float32)
    expected = predict_image(load(run), pixels, protocol, probabilities=True)
    np.testing.assert_allclose(found, expected.probabilities, atol=6e-4)
    with Image.open(out / "a.png") as file:
        np.testing.assert_array_equal(np.asarray(file), expected.labels)
    whole = load(run).predict(pixels, probabilities=True)
    assert np.abs(whole.probabilities - expected.probabilities).max() > 0.002


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--scales", "0.5,x"], "got scales=0.5,x, expected numbers with commas"),
        (["--crop-size", "4"], "got crop_size=4,4, expected at least the stride"),
        (["--flip", "--shift-and-stitch", "2"], "got shift_and_stitch=2 together with scales"),
    ],
)
def test_options_that_do_not_fit(run, photos, tmp_path, options, message):
    result = call(run, photos, "--out", tmp_path / "out", *options)
    assert isinstance(result.exception, ConfigError)
    assert message in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_the_dtype_is_chosen_and_checked(run, photos, tmp_path):
    result = call(run, photos, "--out", tmp_path / "out", "--dtype", "bfloat16")
    assert result.exit_code == 0, result.output
    result = call(run, photos, "--out", tmp_path / "out", "--dtype", "bfloat61")
    assert isinstance(result.exception, ConfigError)
    assert "bfloat16" in str(result.exception)
