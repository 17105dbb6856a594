"""The first images of a data set, as a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lookwider.classes import Classes, ClassMap
from lookwider.data.sample import Sample, SegmentationDataset
from lookwider.errors import ConfigError


class FirstSamples:
    """The first ``count`` samples of a data set, or all where it has fewer.

    Args:
        dataset: the data set.
        count: how many, at least one.

    Raises:
        ConfigError: the count is not positive.

    Example:
        >>> from lookwider.data import SceneDataset
        >>> FirstSamples(SceneDataset(5, size=(32, 32)), 2).names
        ('scene_00000', 'scene_00001')
    """

    def __init__(self, dataset: SegmentationDataset, count: int) -> None:
        if count < 1:
            raise ConfigError(f"got limit={count}, expected at least 1")
        self.dataset = dataset
        self.names: Sequence[str] = tuple(dataset.names[:count])

    @property
    def classes(self) -> Classes:
        """As of the data set."""
        return self.dataset.classes

    @property
    def class_map(self) -> ClassMap:
        """As of the data set."""
        return self.dataset.class_map

    @property
    def extra_classes(self) -> Mapping[str, Classes]:
        """As of the data set."""
        return self.dataset.extra_classes

    @property
    def in_channels(self) -> int:
        """As of the data set."""
        return self.dataset.in_channels

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        """Read sample ``index``.

        Raises:
            IndexError: there is none.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self.dataset[index % len(self)]
