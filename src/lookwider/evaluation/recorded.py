"""The predictions of an evaluation, kept small, to be looked at again."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from lookwider.data.sample import LabelArray, Sample
from lookwider.errors import DataError, unknown_name


class RecordedPredictions:
    """An observer of `evaluate` that keeps every label map, compressed, by the image's name.

    Example:
        >>> recorded = RecordedPredictions()
        >>> image, labels = np.zeros((2, 3, 3), np.uint8), np.ones((2, 3), np.uint8)
        >>> recorded(Sample(image, None, "a"), labels)
        >>> recorded["a"].tolist()
        [[1, 1, 1], [1, 1, 1]]
    """

    def __init__(self) -> None:
        self._kept: dict[str, tuple[tuple[int, int], bytes]] = {}

    def __call__(self, sample: Sample, prediction: LabelArray) -> None:
        """Keep the prediction (H, W) of a sample.

        Raises:
            DataError: an image of this name was kept before.
        """
        if sample.name in self._kept:
            raise DataError(
                f"got two images called {sample.name!r}, expected names that differ; "
                "rename one, or take one split at a time"
            )
        height, width = prediction.shape
        packed = zlib.compress(np.ascontiguousarray(prediction, np.uint8).tobytes(), 1)
        self._kept[sample.name] = ((height, width), packed)

    @property
    def names(self) -> Sequence[str]:
        """The images' names, in order."""
        return tuple(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, name: object) -> bool:
        return name in self._kept

    def __getitem__(self, name: str) -> LabelArray:
        """Return the prediction (H, W) of an image.

        Raises:
            DataError: none of this name was kept.
        """
        if name not in self._kept:
            raise DataError(unknown_name("image with a prediction", name, self._kept))
        shape, packed = self._kept[name]
        return np.frombuffer(zlib.decompress(packed), np.uint8).reshape(shape)
