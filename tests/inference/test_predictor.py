"""Segmenting files: names, broken files, interruptions, and what is there already."""

import numpy as np
import pytest
import torch
from PIL import Image

from lookwider.classes import Classes
from lookwider.errors import ConfigError, DataError, LookwiderError
from lookwider.inference import find_images, named_protocol, predict_files, predict_image
from lookwider.inference.device import choose_device
from lookwider.inference.predictor import PredictionReport
from lookwider.inference.prefetch import prefetch
from lookwider.inference.progress import ImageProgress
from lookwider.models import create_model


def put(path, size=(12, 10), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, 3 if mode == "L" else (3, 4, 5)).save(path)
    return path


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return create_model("fcn32s", backbone="test_resnet", classes=Classes.named(["a", "b"]))


def names(images):
    return [image.name for image in images]


def test_folders_give_their_images_with_sub_folders_in_the_name(tmp_path):
    for name in ("b.jpg", "sub/deep/A.PNG", "a.png", ".hidden.png", ".git/x.png"):
        put(tmp_path / name)
    (tmp_path / "notes.txt").touch()
    (tmp_path / "folder.png").mkdir()
    assert names(find_images([tmp_path])) == ["a", "b", "sub/deep/A"]


def test_results_inside_the_folder_are_not_segmented_again(tmp_path):
    put(tmp_path / "a.png")
    put(tmp_path / "out" / "a.png")
    assert names(find_images([tmp_path], exclude=tmp_path / "out")) == ["a"]


def test_names_never_clash(tmp_path):
    files = [
        put(tmp_path / name) for name in ("x/a.png", "y/a.png", "x/b.png", "x/b.jpg", "y/a.b.png")
    ]
    assert names(find_images(files)) == ["x/a", "y/a", "x/b.png", "x/b.jpg", "y/a.b"]
    assert names(find_images([files[0], files[0]])) == ["a"]
    assert names(find_images([tmp_path / "x"])) == ["a", "b.jpg", "b.png"]


def test_inputs_that_are_not_there_are_named(tmp_path):
    with pytest.raises(DataError, match=r"nothing.png: no such file or folder"):
        find_images([tmp_path / "nothing.png"])
    with pytest.raises(DataError, match=r"found no image in .*; expected files that end in .bmp"):
        find_images([tmp_path])


def test_broken_files_are_reported_and_the_others_segmented(model, tmp_path):
    put(tmp_path / "in" / "good.png", size=(31, 7))
    put(tmp_path / "in" / "sub" / "dot.png", size=(1, 1))
    (tmp_path / "in" / "empty.jpg").touch()
    (tmp_path / "in" / "text.png").write_text("no image")
    np.save(tmp_path / "in" / "bands.npy", np.zeros((40, 40, 5), np.uint8))
    out = tmp_path / "out"
    report = predict_files(
        model, find_images([tmp_path / "in"]), out, probabilities=True, show=False
    )
    assert report.written == ["good", "sub/dot"]
    reasons = {failure.path.name: failure.reason for failure in report.failed}
    assert set(reasons) == {"empty.jpg", "text.png", "bands.npy"}
    assert "not an image that can be read (0 bytes)" in reasons["empty.jpg"]
    assert "image of 5 bands, expected 3" in reasons["bands.npy"]
    with Image.open(out / "good.png") as image:
        assert image.size == (31, 7)
        expected = model.predict(tmp_path / "in" / "good.png").labels
        np.testing.assert_array_equal(np.asarray(image), expected)
    with np.load(out / "sub" / "dot_probabilities.npz") as arrays:
        assert arrays["probabilities"].shape == (2, 1, 1)


def test_files_by_a_protocol_are_images_by_it(model, tmp_path):
    random = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for name in "ab":
        pixels = random.integers(0, 256, (40, 50, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "in" / f"{name}.png")
    protocol = named_protocol("pspnet", scales=(1.0, 1.5), base_size=50, crop_size=(40, 40))
    images = find_images([tmp_path / "in"])
    report = predict_files(
        model,
        images,
        tmp_path / "out",
        protocol=protocol,
        batch_size=2,
        probabilities=True,
        show=False,
    )
    assert report.written == ["a", "b"]
    for image in images:
        expected = predict_image(model, image.path, protocol, probabilities=True)
        assert expected.name == image.name
        with Image.open(tmp_path / "out" / f"{image.name}.png") as file:
            np.testing.assert_array_equal(np.asarray(file), expected.labels)
        with np.load(tmp_path / "out" / f"{image.name}_probabilities.npz") as arrays:
            np.testing.assert_allclose(arrays["probabilities"], expected.probabilities, atol=1e-3)
    with pytest.raises(ConfigError, match="got shift_and_stitch=2 together with scales"):
        predict_files(model, images, tmp_path / "o", protocol=protocol, shift_and_stitch=2)


def test_what_is_there_is_left_alone_on_request(model, tmp_path):
    for name in ("a.png", "b.png"):
        put(tmp_path / "in" / name)
    images = find_images([tmp_path / "in"])
    predict_files(model, images[:1], tmp_path / "out", show=False)
    before = (tmp_path / "out" / "a.png").stat().st_mtime_ns
    report = predict_files(model, images, tmp_path / "out", skip_existing=True, show=False)
    assert (report.skipped, report.written) == (["a"], ["b"])
    assert (tmp_path / "out" / "a.png").stat().st_mtime_ns == before


def test_an_interruption_leaves_whole_files_and_a_true_report(model, tmp_path, monkeypatch):
    for name in ("a.png", "b.png", "c.png"):
        put(tmp_path / "in" / name)
    images = find_images([tmp_path / "in"])
    report = PredictionReport(len(images))

    def stop_after_one(self, images=1, note=""):
        raise KeyboardInterrupt

    monkeypatch.setattr(ImageProgress, "advance", stop_after_one)
    with pytest.raises(KeyboardInterrupt):
        predict_files(model, images, tmp_path / "out", show=False, report=report)
    assert report.written == ["a"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.png", "a_overlay.jpg"]


def test_results_that_cannot_be_written_stop_the_work(model, tmp_path):
    put(tmp_path / "a.png")
    (tmp_path / "out").touch()
    with pytest.raises(LookwiderError, match="cannot write the results"):
        predict_files(model, find_images([tmp_path / "a.png"]), tmp_path / "out", show=False)


def test_a_name_too_long_for_its_results_is_that_images_failure(model, tmp_path):
    images = find_images([put(tmp_path / f"{'n' * 250}.png"), put(tmp_path / "z.png")])
    report = predict_files(model, images, tmp_path / "out", show=False)
    assert report.written == ["z"]
    assert "too long" in report.failed[0].reason


def test_prefetch_keeps_the_order_and_the_errors_and_reads_little_ahead():
    seen = []

    def work(item):
        seen.append(item)
        return 1 // item

    results = prefetch(work, [2, 0, *range(3, 50)], workers=2)
    assert next(results)[1].result() == 0
    with pytest.raises(ZeroDivisionError):
        next(results)[1].result()
    results.close()
    assert len(seen) <= 5


def test_unknown_devices_are_refused(monkeypatch):
    assert choose_device("auto").type in {"cpu", "cuda"}
    with pytest.raises(ConfigError, match="unknown device 'gpu', expected auto, cpu"):
        choose_device("gpu")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ConfigError, match="got device 'cuda:3', but PyTorch sees 1 GPUs"):
        choose_device("cuda:3")
