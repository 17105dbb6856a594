"""The one shape of all systems."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from lookwider.errors import LookwiderError
from lookwider.models import create_model


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return create_model("fcn8s", backbone="resnet10t", num_classes=4, zero_scores=False).eval()


def test_logits_are_those_of_the_main_scores_in_training_and_evaluation(model):
    images = torch.randn(2, 3, 40, 51)
    with torch.no_grad():
        assert torch.equal(model(images), model.scores(images)["main"].logits())
        logits = model.train()(images)
    model.eval()
    assert logits.shape == (2, 4, 40, 51)


def test_a_summary_goes_from_features_to_scores(model):
    images = torch.randn(1, 3, 33, 33)
    with torch.no_grad():
        features = model.features(images)
        summary = model.context.summarise(features)
        merged = summary.merge(model.context.summarise(features))
        scores = model.classify(features, merged, (33, 33))["main"]
        assert torch.equal(scores.logits(), model(images))


def test_a_path_a_picture_and_an_array_predict_alike(model, tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (30, 41, 3), dtype=np.uint8)
    path = tmp_path / "street.png"
    Image.fromarray(array).save(path)
    by_path = model.predict(path, probabilities=True)
    assert by_path.name == "street"
    assert by_path.labels.shape == (30, 41)
    assert by_path.probabilities.shape == (4, 30, 41)
    assert by_path.probabilities.sum(0) == pytest.approx(np.ones((30, 41)), abs=1e-5)
    for other in (Image.fromarray(array), array):
        assert np.array_equal(model.predict(other).labels, by_path.labels)


def test_a_picture_is_turned_upright_as_its_file_is(model, tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    path = tmp_path / "turned.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(array).save(path, exif=exif)
    with Image.open(path) as picture:
        by_picture = model.predict(picture).labels
    assert by_picture.shape == (30, 20)
    assert np.array_equal(by_picture, model.predict(path).labels)


def test_predicting_leaves_the_mode_alone(model):
    model.train()
    model.predict(np.zeros((8, 8, 3), np.uint8))
    assert model.training
    model.eval()


def test_shift_and_stitch_is_the_network_at_every_shift(model):
    """Scores at stride 1 are the coarse scores of the image shifted by so many pixels."""
    torch.manual_seed(0)
    images = torch.randn(1, 3, 64, 80)
    with torch.no_grad():
        dense = model.dense_scores(images, factor=8)
        shifted = model.scores(torch.nn.functional.pad(images, (3, 0, 5, 0)))["main"].scores
        torch.testing.assert_close(
            dense.scores[..., 3::8, 5::8], shifted[..., 1:, 1:][..., :8, :10]
        )
        assert torch.equal(model.dense_scores(images, factor=1).logits(), model(images))
    assert dense.size == (64, 80)
    assert model.predict(np.zeros((20, 30, 3), np.uint8), shift_and_stitch=2).labels.shape == (
        20,
        30,
    )
    with pytest.raises(
        LookwiderError, match=r"got shift_and_stitch=3, expected a divisor .* scores, 8"
    ):
        model.dense_scores(images, factor=3)


def test_preprocess_gives_what_the_trunk_takes(model):
    image = np.full((2, 3, 3), 255, np.uint8)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    expected = [(1 - m) / s for m, s in zip(mean, std, strict=True)]
    result = model.preprocess(image)
    assert result.shape == (1, 3, 2, 3)
    assert result[0, :, 0, 0].tolist() == pytest.approx(expected, rel=1e-5)


def test_caffe_nets_take_bgr_minus_the_mean():
    with torch.device("meta"):
        preprocessing = create_model("fcn32s", style="released").preprocessing
    image = np.array([[[10, 20, 30]]], np.uint8)
    expected = [30 - 104.00699, 20 - 116.66877, 10 - 122.67892]
    assert preprocessing(image).flatten().tolist() == pytest.approx(expected, abs=1e-4)


def test_wrong_images(model):
    with pytest.raises(LookwiderError, match=r"images of shape \(1, 4, 8, 8\), expected \(N, 3, H"):
        model(torch.zeros(1, 4, 8, 8))
    with pytest.raises(LookwiderError, match=r"images of shape \(1, 3, 0, 8\)"):
        model(torch.zeros(1, 3, 0, 8))
    with pytest.raises(LookwiderError, match="uint8 images, expected floating point"):
        model(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    with pytest.raises(LookwiderError, match="image of type int, expected a path"):
        model.predict(3)
    with pytest.raises(LookwiderError, match="image of 5 bands, expected 3"):
        model.predict(np.zeros((8, 8, 5), np.uint8))
