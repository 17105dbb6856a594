"""Statistics per band against NumPy over all pixels."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from lookwider.training.band_statistics import band_statistics, fits_imagenet


class Images(list):
    in_channels = 4


def images(dtype: type) -> Images:
    draw = np.random.default_rng(0)
    top = 60_000 if dtype == np.uint16 else 250
    arrays = [draw.integers(0, top, (5, n, 4)).astype(dtype) for n in (3, 8, 4)]
    for array in arrays:
        array[..., 3] = 7
    return Images(SimpleNamespace(image=array) for array in arrays)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_mean_and_deviation_over_all_pixels(dtype):
    dataset = images(dtype)
    preprocessing = band_statistics(dataset)
    pixels = np.concatenate([sample.image.reshape(-1, 4) for sample in dataset]).astype(np.float64)
    assert preprocessing.mean == pytest.approx(pixels.mean(0))
    assert preprocessing.std == pytest.approx([*pixels.std(0)[:3], 1])
    normalised = np.concatenate(
        [preprocessing(sample.image).permute(1, 2, 0).reshape(-1, 4) for sample in dataset]
    )
    assert normalised.mean(0) == pytest.approx(np.zeros(4), abs=1e-5)
    assert normalised.std(0) == pytest.approx([1, 1, 1, 0], abs=1e-5)


def test_only_8_bit_rgb_fits_imagenet():
    assert not fits_imagenet(images(np.uint8))
    rgb = Images([SimpleNamespace(image=np.zeros((2, 2, 3), np.uint8))])
    assert fits_imagenet(rgb)
    rgb[0].image = rgb[0].image.astype(np.uint16)
    assert not fits_imagenet(rgb)
