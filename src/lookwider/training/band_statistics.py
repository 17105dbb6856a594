"""Mean and standard deviation per band, for images that ImageNet's statistics do not fit."""

from __future__ import annotations

import numpy as np

from lookwider.data import SegmentationDataset
from lookwider.preprocessing import Preprocessing

MOST_IMAGES = 100
"""Images that are measured: evenly spread over the data set, always the same ones."""


def fits_imagenet(dataset: SegmentationDataset) -> bool:
    """Whether images are 8-bit RGB, which ImageNet's statistics are for."""
    image = dataset[0].image
    return image.dtype == np.uint8 and image.shape[2] == 3


def band_statistics(dataset: SegmentationDataset) -> Preprocessing:
    """Return the normalisation that gives each band mean 0 and standard deviation 1.

    A band without any variation is only shifted.

    Args:
        dataset: the training images, of any number of bands and any depth.
    """
    step = max(1, len(dataset) // MOST_IMAGES)
    count, total, squares = 0, 0.0, 0.0
    for index in range(0, len(dataset), step):
        pixels = dataset[index].image.reshape(-1, dataset.in_channels).astype(np.float64)
        count += len(pixels)
        total = total + pixels.sum(0)
        squares = squares + (pixels**2).sum(0)
    mean = np.asarray(total) / count
    std = np.sqrt(np.maximum(np.asarray(squares) / count - mean**2, 0))
    std[std == 0] = 1
    return Preprocessing(tuple(mean.tolist()), tuple(std.tolist()), scale=1)
