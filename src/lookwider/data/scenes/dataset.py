"""One scene, a pure function of its seed and index; and data sets of them."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import SupportsIndex

import numpy as np
import numpy.typing as npt

from lookwider.classes import Classes, ClassMap
from lookwider.data.sample import Sample
from lookwider.data.scenes.classes import SCENE_CLASSES, failure_of
from lookwider.data.scenes.drawing import Canvas
from lookwider.data.scenes.kinds import KINDS, draw_kind, streams
from lookwider.errors import DataError, unknown_name

MIN_SIZE = 32
"""Least height and width in pixels."""

SCENE_KINDS: tuple[str, ...] = tuple(KINDS)
"""The kinds of scene; "lake" and "road" are a pair, "skyline" and "street" another."""

SPLITS: dict[str, int] = {"train": 600, "val": 100, "test": 100}
"""The splits and how many images each has unless told otherwise."""


@dataclass(frozen=True, eq=False)
class Scene:
    """One picture and all that is known of it.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        label: (H, W) uint8 class ids of `SCENE_CLASSES`; no pixel is ignored.
        failure: (H, W) uint8 positions in `FAILURE_KINDS`; 0 where a pixel probes none.
        kind: one of `SCENE_KINDS`.
    """

    image: npt.NDArray[np.uint8]
    label: npt.NDArray[np.uint8]
    failure: npt.NDArray[np.uint8]
    kind: str


def scene(
    seed: int, index: int, size: tuple[int, int] = (128, 160), *, kind: str | None = None
) -> Scene:
    """Return picture ``index`` of ``seed``: a pure function of its arguments.

    Pictures are independent of each other, and each part of a picture (light, blobs, facades,
    ...) has a random stream of its own. So ``kind`` swaps the context: the scene of one seed and
    index as a lake and as a road has the same blobs in the same places, with the same mist to the
    last bit, once as boats and once as cars; as a street and as a skyline likewise.

    Args:
        seed: not negative.
        index: not negative.
        size: (height, width), each at least `MIN_SIZE`; sizes of one aspect ratio show the
            same picture, finer or coarser.
        kind: one of `SCENE_KINDS` instead of the one that was drawn.

    Raises:
        DataError: a size, seed, index or kind that is not so.

    Example:
        >>> picture = scene(0, 3, (64, 80))
        >>> picture.image.shape, picture.label.shape, picture.kind
        ((64, 80, 3), (64, 80), 'bedroom')
    """
    seed, index = _natural("seed", seed), _natural("index", index)
    size = _checked_size(size)
    part = streams(seed, index)
    kind = draw_kind(part) if kind is None else kind
    if kind not in KINDS:
        raise DataError(unknown_name("kind of scene", kind, KINDS))
    canvas = Canvas(size)
    KINDS[kind](canvas, part)
    return Scene(canvas.finish(), canvas.label, failure_of(canvas.label), kind)


@dataclass(frozen=True)
class SceneDataset:
    """Built-in scenes as a `SegmentationDataset`; each is painted when it is read.

    Attributes:
        count: number of images.
        size: (height, width) of every image.
        seed: the `scene` seed; data sets of one seed begin with the same images.

    Raises:
        DataError: no images, a size that is too small or not two numbers, a negative seed.

    Example:
        >>> data = SceneDataset(2, size=(64, 80))
        >>> len(data), data[1].name, data[1].image.shape
        (2, 'scene_00001', (64, 80, 3))
    """

    count: int
    size: tuple[int, int] = (128, 160)
    seed: int = 0
    names: Sequence[str] = field(init=False, repr=False, compare=False)
    classes: Classes = field(init=False, repr=False, compare=False, default=SCENE_CLASSES)
    in_channels: int = field(init=False, repr=False, compare=False, default=3)

    def __post_init__(self) -> None:
        if _natural("count", self.count) < 1:
            raise DataError(f"got count={self.count} scenes, expected at least 1")
        object.__setattr__(self, "size", _checked_size(self.size))
        object.__setattr__(self, "seed", _natural("seed", self.seed))
        object.__setattr__(self, "names", tuple(f"scene_{i:05d}" for i in range(self.count)))

    @classmethod
    def split(
        cls,
        split: str,
        *,
        count: int | None = None,
        size: tuple[int, int] = (128, 160),
        seed: int = 0,
    ) -> SceneDataset:
        """Return a split; train, val and test share no image, whatever their seeds.

        Split number s of ``seed`` has the `scene` seed 3 ``seed`` + s, with s = 0 for train,
        1 for val and 2 for test.

        Args:
            split: "train", "val" or "test".
            count: number of images; `SPLITS` says the usual ones.
            size: (height, width).
            seed: not negative.

        Raises:
            DataError: an unknown split, or what `SceneDataset` refuses.

        Example:
            >>> len(SceneDataset.split("val")), SceneDataset.split("test", seed=1).seed
            (100, 5)
        """
        if split not in SPLITS:
            raise DataError(unknown_name("split of the built-in scenes", split, SPLITS))
        own = len(SPLITS) * _natural("seed", seed) + tuple(SPLITS).index(split)
        return cls(SPLITS[split] if count is None else count, size, own)

    @property
    def class_map(self) -> ClassMap:
        """Labels hold class ids."""
        return ClassMap.identity(len(SCENE_CLASSES))

    @property
    def extra_classes(self) -> Mapping[str, Classes]:
        """No further label maps."""
        return {}

    def __len__(self) -> int:
        """Number of images."""
        return self.count

    def __getitem__(self, index: int) -> Sample:
        """Paint image ``index``.

        Raises:
            IndexError: there is no such image.
        """
        picture = self.scene(index)
        return Sample(picture.image, picture.label, self.names[index])

    def scene(self, index: int) -> Scene:
        """Return image ``index`` with its failure map and kind; -1 is the last.

        Raises:
            IndexError: there is no such image.
        """
        if not -self.count <= index < self.count:
            raise IndexError(
                f"got scene {index}, expected 0 to {self.count - 1}; "
                f"for more images give a larger count"
            )
        return scene(self.seed, index % self.count, self.size)


def _natural(name: str, value: SupportsIndex) -> int:
    """Return a whole number from 0 up; NumPy's are welcome."""
    try:
        number = operator.index(value)
    except TypeError:
        number = -1
    if number < 0:
        raise DataError(f"got {name}={value!r}, expected a whole number from 0 up")
    return number


def _checked_size(size: Sequence[SupportsIndex]) -> tuple[int, int]:
    """Return (height, width) as ints."""
    try:
        height, width = (operator.index(side) for side in size)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"got size {size!r}, expected (height, width): two whole numbers"
        ) from error
    if min(height, width) < MIN_SIZE:
        raise DataError(
            f"got size {height} x {width}, expected at least {MIN_SIZE} x {MIN_SIZE} pixels"
        )
    return height, width
