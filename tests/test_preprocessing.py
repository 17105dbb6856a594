"""What weights expect of an image, against torchvision and Caffe's arithmetic."""

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from lookwider.errors import LookwiderError
from lookwider.preprocessing import CAFFE_VOC, IMAGENET, Preprocessing, default_preprocessing

IMAGE = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)


def test_imagenet_equals_torchvision():
    theirs = v2.Compose(
        [
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(IMAGENET.mean, IMAGENET.std),
        ]
    )(IMAGE)
    torch.testing.assert_close(IMAGENET(IMAGE), torch.Tensor(theirs))


def test_caffe_subtracts_the_mean_of_bgr():
    means = [104.00699, 116.66877, 122.67892]
    expected = (IMAGE[:, :, ::-1].astype(np.float32) - np.float32(means)).transpose(2, 0, 1)
    torch.testing.assert_close(CAFFE_VOC(IMAGE), torch.from_numpy(expected))


def test_read_only_and_strided_images_are_taken_as_they_are():
    read_only = IMAGE[:, ::-1]
    read_only.flags.writeable = False
    torch.testing.assert_close(IMAGENET(read_only), IMAGENET(IMAGE).flip(-1))


def test_16_bit_and_float_images():
    preprocessing = Preprocessing((0.5,), (0.25,), scale=65535)
    deep = np.array([[[0], [65535]]], np.uint16)
    assert preprocessing(deep).tolist() == [[[-2.0, 2.0]]]
    assert preprocessing(deep.astype(np.float32)).tolist() == [[[-2.0, 2.0]]]


@pytest.mark.parametrize("preprocessing", [IMAGENET, CAFFE_VOC, default_preprocessing(5)])
def test_the_fill_value_normalises_to_zero(preprocessing):
    fill = torch.tensor(preprocessing.fill_value())[:, None, None]
    torch.testing.assert_close(
        preprocessing.normalise(fill), torch.zeros_like(fill), atol=1e-5, rtol=0
    )


def test_default_preprocessing_follows_the_bands():
    assert default_preprocessing(3) is IMAGENET
    assert default_preprocessing(4).in_channels == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((), ()), "got 0 means and 0 stds"),
        (((1.0,), (1.0, 2.0)), "got 1 means and 2 stds"),
        (((1.0,), (0.0,)), "must be positive"),
        (((1.0,), (1.0,), 0.0), "must be positive"),
        (((float("inf"),), (1.0,)), "must be finite"),
        (((1.0,), (float("nan"),)), "must be finite"),
        (((1.0,), (1.0,), 1.0, "bgr"), "order 'bgr' needs 3 bands, got 1"),
        (((1.0,), (1.0,), 1.0, "grb"), "got order 'grb', expected 'rgb' or 'bgr'"),
    ],
)
def test_impossible_settings_are_refused(arguments, message):
    with pytest.raises(LookwiderError, match=message):
        Preprocessing(*arguments)


def test_images_of_other_bands_or_shapes_are_refused():
    with pytest.raises(LookwiderError, match="image of 1 bands, expected 3"):
        IMAGENET(IMAGE[:, :, :1])
    with pytest.raises(LookwiderError, match=r"shape \(5, 7\), expected \(H, W, C\)"):
        IMAGENET(IMAGE[:, :, 0])
