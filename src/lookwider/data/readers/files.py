"""The data set behind every layout of files: pairs, classes, one class map."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import cast

from lookwider.classes import Classes, ClassMap
from lookwider.data.decoder import LabelDecoder
from lookwider.data.readers.pairs import Pair
from lookwider.data.sample import ImageArray, LabelArray, Sample
from lookwider.errors import DataError
from lookwider.images import read_image


class FileDataset:
    """Samples read from image and label files; a `SegmentationDataset`.

    Args:
        pairs: the samples' files, at least one.
        classes: names and colours.
        class_map: stored label values -> class ids.
        extra: classes and class map of each of the pairs' extra labels.
    """

    def __init__(
        self,
        pairs: tuple[Pair, ...],
        classes: Classes,
        class_map: ClassMap,
        extra: Mapping[str, tuple[Classes, ClassMap]] | None = None,
    ) -> None:
        extra = extra or {}
        self.pairs = pairs
        self.names = tuple(pair.name for pair in pairs)
        self.classes = classes
        self.class_map = class_map
        self.extra_classes = {head: classes for head, (classes, _) in extra.items()}
        self._decoder = LabelDecoder(class_map, len(classes))
        self._extra = {head: LabelDecoder(cm, len(cl)) for head, (cl, cm) in extra.items()}

    def __len__(self) -> int:
        return len(self.pairs)

    def __repr__(self) -> str:
        return f"FileDataset({len(self)} samples, {len(self.classes)} classes)"

    @cached_property
    def in_channels(self) -> int:
        """Bands of the first image; every other must have as many."""
        return int(read_image(self.pairs[0].image).shape[2])

    def __getitem__(self, index: int) -> Sample:
        """Read sample ``index``.

        Raises:
            DataError: a file is damaged, or image, label and class map do not fit each other.
        """
        pair = self.pairs[index]
        image = cast("ImageArray", read_image(pair.image))
        if image.shape[2] != self.in_channels:
            raise DataError(
                f"{pair.image}: has {image.shape[2]} bands, expected {self.in_channels} as the "
                f"first image {self.pairs[0].image} has"
            )
        label = self._decoder.read(pair.label)
        extra = {head: self._extra[head].read(path) for head, path in pair.extra_labels.items()}
        check_same_size(image, label, f"image {pair.image}", f"label {pair.label}")
        for head, array in extra.items():
            path = pair.extra_labels[head]
            check_same_size(image, array, f"image {pair.image}", f"label {path}")
        return Sample(image, label, pair.name, extra)


def check_same_size(image: ImageArray, label: LabelArray, image_is: str, label_is: str) -> None:
    """Raise a `DataError` that names both where image and label differ in size."""
    if image.shape[:2] != label.shape:
        (h, w), (label_h, label_w) = image.shape[:2], label.shape
        turned = (
            " (turned by the image's EXIF orientation?)" if (h, w) == (label_w, label_h) else ""
        )
        raise DataError(
            f"{image_is} is {h} x {w} (height x width) but {label_is} is {label_h} x {label_w}, "
            f"expected the same size{turned}; see `lookwider data check`"
        )
