"""What a data set yields: one labelled image, and a batch of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from torch import Tensor

from lookwider.classes import Classes, ClassMap

ImageArray = npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | npt.NDArray[np.float32]
LabelArray = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Sample:
    """One image with its label.

    Attributes:
        image: (H, W, C) in RGB order; uint8, or uint16 / float32 for scientific images.
        label: (H, W) uint8 class ids after the class map, 255 where ignored;
            None for an image without a label.
        name: the image's name within its data set, without extension, "/" between folders.
        extra_labels: further label maps of the same image by head name, e.g.
            ``{"geometric": ...}`` of SIFT Flow; the same shape and rule as ``label``.
    """

    image: ImageArray
    label: LabelArray | None
    name: str
    extra_labels: Mapping[str, LabelArray] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Batch:
    """Samples of one size, ready for a model.

    Attributes:
        images: (N, C, H, W) float32, normalised as the backbone's weights want.
        labels: (N, H, W) int64, 255 where ignored.
        names: the samples' names.
        extra_labels: (N, H, W) int64 by head name.
    """

    images: Tensor
    labels: Tensor
    names: tuple[str, ...]
    extra_labels: Mapping[str, Tensor] = field(default_factory=dict)


@runtime_checkable
class SegmentationDataset(Protocol):
    """What every reader is: a sized sequence of samples with one class map.

    Reading a sample raises `DataError` naming the file when it is damaged or its label does
    not fit the class map.
    """

    @property
    def names(self) -> Sequence[str]:
        """The samples' names, in order."""
        ...

    @property
    def classes(self) -> Classes:
        """Names and colours of the classes of ``Sample.label``."""
        ...

    @property
    def class_map(self) -> ClassMap:
        """How stored label values became class ids."""
        ...

    @property
    def extra_classes(self) -> Mapping[str, Classes]:
        """The classes of each of ``Sample.extra_labels``; mostly empty."""
        ...

    @property
    def in_channels(self) -> int:
        """Bands of every image."""
        ...

    def __len__(self) -> int:
        """Number of samples."""
        ...

    def __getitem__(self, index: int) -> Sample:
        """Read sample ``index``."""
        ...
