"""The averaged probabilities, against a slow and obvious reading of the released tests."""

import math

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from lookwider.classes import Classes
from lookwider.errors import ConfigError, LookwiderError
from lookwider.inference import class_probabilities, named_protocol, predict_image
from lookwider.inference.multiscale import multiscale_probabilities, probabilities_of
from lookwider.models import create_model

MEAN = 0.4
SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
SIZES = [(14, 22), (22, 14), (9, 9), (1, 16), (16, 1), (1, 1)]


def tiny_network(images):
    """Logits that depend on the neighbours, the border and the place: nothing cancels."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(4, 3, 3, 3, generator=generator, dtype=torch.float64)
    ramp = torch.linspace(-1, 1, images.shape[-1], dtype=torch.float64)
    wave = torch.sin(torch.arange(images.shape[-2], dtype=torch.float64))
    logits = nn.functional.conv2d(images, weight, padding=1)
    logits[:, 1] += 2 * ramp
    logits[:, 2] += wave[:, None]
    return logits


def ours(image, protocol, **options):
    found = multiscale_probabilities(
        lambda images: {"main": tiny_network(images), "other": tiny_network(images)[:, :2]},
        torch.from_numpy(image).permute(2, 0, 1),
        protocol,
        normalise=lambda raw: raw - MEAN,
        **options,
    )
    assert found["main"].dtype == torch.float64
    np.testing.assert_allclose(found["other"].sum(0), 1, atol=1e-12)
    return found["main"].permute(1, 2, 0).numpy()


def network(window):
    """(H, W, 3) normalised -> (H, W, 4) logits."""
    images = torch.from_numpy(np.ascontiguousarray(window)).permute(2, 0, 1)[None]
    return tiny_network(images)[0].permute(1, 2, 0).numpy()


def softmax(logits):
    exp = np.exp(logits)
    return exp / exp.sum(2, keepdims=True)


def triangle_weights(old, new):
    """Return imresize's (new, old) weights, the axis mirrored beyond its border."""
    stretch = min(1.0, new / old)
    centres = (np.arange(new)[:, None] + 0.5) * old / new - 0.5
    turns = 2 * math.ceil(1 / stretch)
    line = np.arange(-turns * old, (turns + 1) * old)
    weights = np.maximum(0, 1 - stretch * np.abs(line - centres))
    folded = weights.reshape(new, -1, old)
    folded[:, 1::2] = folded[:, 1::2, ::-1]  # every other copy is the mirror image
    return folded.sum(1) / weights.sum(1, keepdims=True)


def imresize(array, height, width):
    rows = triangle_weights(array.shape[0], height)
    cols = triangle_weights(array.shape[1], width)
    return np.einsum("ih,jw,hwk->ijk", rows, cols, array)


def released_test(image, scales, base, crop):
    """PSPNet's released test, one window after the other."""
    rows, cols = image.shape[:2]
    total = np.zeros((rows, cols, 4))
    for scale in scales:
        long_side = math.floor(base * scale + 0.5) + 1
        new_rows = new_cols = long_side
        if rows > cols:
            new_cols = max(1, math.floor(long_side / rows * cols + 0.5))
        else:
            new_rows = max(1, math.floor(long_side / cols * rows + 0.5))
        scaled = imresize(image, new_rows, new_cols)
        padded = np.full((max(crop, new_rows), max(crop, new_cols), 3), MEAN)
        padded[:new_rows, :new_cols] = scaled
        stride = math.ceil(crop * 2 / 3)
        sums, count = np.zeros((*padded.shape[:2], 4)), np.zeros((*padded.shape[:2], 1))
        for y in range(math.ceil((padded.shape[0] - crop) / stride) + 1):
            for x in range(math.ceil((padded.shape[1] - crop) / stride) + 1):
                bottom = min(y * stride + crop, padded.shape[0])
                right = min(x * stride + crop, padded.shape[1])
                place = (slice(bottom - crop, bottom), slice(right - crop, right))
                window = padded[place] - MEAN
                logits = network(window) + network(window[:, ::-1])[:, ::-1]
                sums[place] += softmax(logits)
                count[place] += 1
        score = imresize((sums / count)[:new_rows, :new_cols], rows, cols)
        total += score / score.sum(2, keepdims=True)
    return total / len(scales)


def pytorch_release_test(image, scales, base, crop):
    """The test of PSPNet's PyTorch release, one window after the other."""
    rows, cols = image.shape[:2]
    total = np.zeros((rows, cols, 4))
    for scale in scales:
        new_rows = new_cols = round(scale * base)
        if rows > cols:
            new_cols = max(1, round(new_rows / rows * cols))
        else:
            new_rows = max(1, round(new_cols / cols * rows))
        scaled = cv2.resize(image, (new_cols, new_rows), interpolation=cv2.INTER_LINEAR)
        top, left = max(crop - new_rows, 0) // 2, max(crop - new_cols, 0) // 2
        padded = np.full((max(crop, new_rows), max(crop, new_cols), 3), MEAN)
        padded[top : top + new_rows, left : left + new_cols] = scaled
        stride = math.ceil(crop * 2 / 3)
        sums, count = np.zeros((*padded.shape[:2], 4)), np.zeros((*padded.shape[:2], 1))
        for y in range(math.ceil((padded.shape[0] - crop) / stride) + 1):
            for x in range(math.ceil((padded.shape[1] - crop) / stride) + 1):
                bottom = min(y * stride + crop, padded.shape[0])
                right = min(x * stride + crop, padded.shape[1])
                place = (slice(bottom - crop, bottom), slice(right - crop, right))
                window = padded[place] - MEAN
                flipped = softmax(network(window[:, ::-1]))[:, ::-1]
                sums[place] += (softmax(network(window)) + flipped) / 2
                count[place] += 1
        score = (sums / count)[top : top + new_rows, left : left + new_cols]
        total += cv2.resize(score, (cols, rows), interpolation=cv2.INTER_LINEAR)
    return total / len(scales)


@pytest.mark.parametrize("size", SIZES)
def test_values_against_the_released_test(size):
    image = np.random.default_rng(0).random((*size, 3))
    protocol = named_protocol("pspnet", base_size=16, crop_size=(11, 11))
    expected = released_test(image, SCALES, base=16, crop=11)
    for batch_size in (1, 3):
        found = ours(image, protocol, batch_size=batch_size)
        np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("size", SIZES)
def test_values_against_the_pytorch_release(size):
    image = np.random.default_rng(1).random((*size, 3))
    protocol = named_protocol("semseg", base_size=16, crop_size=(11, 11))
    expected = pytorch_release_test(image, SCALES, base=16, crop=11)
    # OpenCV's weights are float32
    np.testing.assert_allclose(ours(image, protocol), expected, atol=1e-6)


def test_an_image_smaller_than_the_crop_is_one_padded_window():
    image = np.random.default_rng(2).random((5, 7, 3))
    protocol = named_protocol("pspnet", scales=(1.0,), base_size=6, crop_size=(9, 9))
    (grid,) = protocol.grids((5, 7))
    assert (grid.size, len(grid)) == ((5, 7), 1)
    window = np.zeros((9, 9, 3))
    window[:5, :7] = image - MEAN
    expected = softmax(network(window) + network(window[:, ::-1])[:, ::-1])[:5, :7]
    np.testing.assert_allclose(ours(image, protocol), expected, atol=1e-12)


@pytest.mark.parametrize("mean", ["logits", "probabilities"])
def test_a_mirrored_image_gives_the_mirrored_result(mean):
    image = np.random.default_rng(3).random((8, 13, 3))
    protocol = named_protocol("whole", flip=True, flip_mean=mean, scales=(1.0, 1.5))
    plain, mirrored = ours(image, protocol), ours(image[:, ::-1].copy(), protocol)
    np.testing.assert_allclose(mirrored[:, ::-1], plain, atol=1e-12)


def test_the_softmax_of_the_sum_is_not_the_mean_of_the_softmaxes():
    images = torch.rand(2, 3, 6, 8, dtype=torch.float64)

    def logits(batch):
        return {"main": tiny_network(batch)}

    plain, mirrored = tiny_network(images), tiny_network(images.flip(-1)).flip(-1)
    by_logits = probabilities_of(logits, flip=True, mean="logits")(images)["main"]
    torch.testing.assert_close(by_logits, (plain + mirrored).softmax(1))
    by_shares = probabilities_of(logits, flip=True, mean="probabilities")(images)["main"]
    torch.testing.assert_close(by_shares, (plain.softmax(1) + mirrored.softmax(1)) / 2)
    assert float((by_logits - by_shares).abs().max()) > 0.01
    torch.testing.assert_close(probabilities_of(logits)(images)["main"], plain.softmax(1))


def test_half_precision_is_summed_in_single():
    found = probabilities_of(lambda images: {"main": images})(torch.rand(1, 3, 2, 2).bfloat16())
    assert found["main"].dtype == torch.float32


def test_progress_counts_the_windows_of_all_scales():
    seen = []
    protocol = named_protocol("pspnet", base_size=16, crop_size=(11, 11))
    image = np.random.default_rng(0).random((14, 22, 3))
    ours(
        image, protocol, batch_size=3, on_window=lambda done, windows: seen.append((done, windows))
    )
    windows = sum(map(len, protocol.grids((14, 22))))
    assert seen[-1] == (windows, windows)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = create_model(
        "fcn32s",
        backbone="test_resnet",
        classes=Classes.named(["sky", "land", "sea"]),
        extra_classes={"geometric": Classes.named(["flat", "upright"])},
        zero_scores=False,
    )
    return model.eval()


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(4).integers(0, 256, (50, 70, 3), np.uint8)


def test_the_plain_protocol_gives_the_models_own_probabilities(model, image):
    model.train()
    found = class_probabilities(model, image)
    assert model.training  # as it was
    model.eval()
    with torch.inference_mode():
        maps = model.scores(model.preprocess(image))
    assert list(found) == ["main", "geometric"]
    for head, score_map in maps.items():
        torch.testing.assert_close(found[head], score_map.probabilities()[0])


def test_a_window_larger_than_the_image_sees_the_mean_colour_around_it(model, image):
    protocol = named_protocol("whole", crop_size=(64, 96))
    found = class_probabilities(model, image, protocol)["main"]
    filled = np.tile(np.array(model.preprocessing.fill_value(), np.float32), (64, 96, 1))
    filled[:50, :70] = image
    expected = class_probabilities(model, filled)["main"][:, :50, :70]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_images_of_whole_numbers_stay_whole_when_resized(model, image):
    protocol = named_protocol("whole", scales=(0.5,))
    of_integers = class_probabilities(model, image, protocol)["main"]
    of_floats = class_probabilities(model, image.astype(np.float32), protocol)["main"]
    assert not torch.equal(of_integers, of_floats)
    torch.testing.assert_close(of_integers, of_floats, atol=0.02, rtol=0)


@pytest.mark.parametrize("size", [(1, 90), (90, 1), (1, 1)])
def test_images_one_pixel_wide(model, size):
    image = np.full((*size, 3), 7, np.uint8)
    protocol = named_protocol("pspnet", scales=(0.5, 1.0), base_size=64, crop_size=(40, 40))
    prediction = predict_image(model, image, protocol, probabilities=True)
    assert prediction.labels.shape == size
    np.testing.assert_allclose(prediction.probabilities.sum(0), 1, atol=1e-5)
    np.testing.assert_array_equal(prediction.probabilities.argmax(0), prediction.labels)


def test_what_does_not_fit_the_model_is_refused(model, image):
    with pytest.raises(
        ConfigError, match=r"got crop_size=8,64, expected at least the stride .* scores, 32"
    ):
        class_probabilities(model, image, named_protocol("whole", crop_size=(8, 64)))
    with pytest.raises(ConfigError, match="got shift_and_stitch=2 together with scales, flip"):
        predict_image(model, image, named_protocol("whole", flip=True), shift_and_stitch=2)
    with pytest.raises(LookwiderError, match="an image of 1 bands, expected 3"):
        class_probabilities(model, image[:, :, 0], named_protocol("whole", flip=True))


def test_shift_and_stitch_goes_with_the_plain_protocol(model, image):
    expected = model.predict(image, shift_and_stitch=2, probabilities=True)
    found = predict_image(model, image, shift_and_stitch=2, probabilities=True)
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)


def test_nan_is_refused(image):
    broken = create_model("fcn32s", backbone="test_resnet", num_classes=2)
    with torch.no_grad():
        broken.heads["main"].score_fr.bias.fill_(float("nan"))
    with pytest.raises(LookwiderError, match="scores hold NaN"):
        predict_image(broken, image, named_protocol("whole", flip=True))
