"""The images that an instrument is run over: a data set's samples, or plain images."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol, cast

from lookwider.data.sample import ImageArray, Sample
from lookwider.errors import ConfigError, DataError
from lookwider.models.segmenter import ImageLike, image_array


class Images(Protocol):
    """A data set, or a list of paths, PIL images or arrays."""

    def __len__(self) -> int:
        """Number of images."""
        ...

    def __getitem__(self, index: int, /) -> Sample | ImageLike:
        """Return one of them."""
        ...


def sample_of(images: Images, index: int) -> Sample:
    """Return image ``index`` as a sample; one that is no sample has no label.

    Example:
        >>> import numpy as np
        >>> sample_of([np.zeros((4, 5, 3), np.uint8)], 0).name
        'image_00000'
    """
    found = images[index]
    if isinstance(found, Sample):
        return found
    is_path = isinstance(found, (str, os.PathLike))
    name = Path(cast(str, found)).stem if is_path else f"image_{index:05d}"
    return Sample(cast(ImageArray, image_array(found)), None, name)


def count_images(images: Images, limit: int | None, least: int = 1) -> int:
    """Return how many images to take: the first ``limit``, or all.

    Raises:
        ConfigError: the limit is too low.
        DataError: there are not enough images.
    """
    if limit is not None and limit < least:
        raise ConfigError(f"got limit={limit}, expected at least {least}")
    if len(images) < least:
        raise DataError(f"got {len(images)} images, expected at least {least}")
    return len(images) if limit is None else min(limit, len(images))
