"""Samples to batches: seeded reading and collation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset

from lookwider.data.sample import Batch, Sample, SegmentationDataset
from lookwider.errors import DataError
from lookwider.preprocessing import Preprocessing

Transform = Callable[[Sample], Sample]


@dataclass(frozen=True)
class Draw:
    """One sample to read: which, and the seed of its transforms."""

    index: int
    seed: int


class DrawnSamples(Dataset[Sample]):
    """A data set that is asked by `Draw`, so that its transforms depend on nothing else.

    The global random state is left as it was.
    """

    def __init__(self, dataset: SegmentationDataset, transform: Transform) -> None:
        self.dataset = dataset
        self.transform = transform

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, draw: Draw) -> Sample:
        sample = self.dataset[draw.index]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(draw.seed)
            return self.transform(sample)


class OrderedSamples(Dataset[Sample]):
    """A data set read in order, with a transform that draws nothing."""

    def __init__(self, dataset: SegmentationDataset, transform: Transform) -> None:
        self.dataset = dataset
        self.transform = transform

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        return self.transform(self.dataset[index])


@dataclass(frozen=True)
class Collate:
    """Normalise samples as the backbone's weights want and stack them.

    Attributes:
        preprocessing: of the model.
    """

    preprocessing: Preprocessing

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        """Return the batch.

        Raises:
            DataError: the samples differ in size or heads, or one has no label.
        """
        check_stackable(samples)
        return Batch(
            images=torch.stack([self.preprocessing(sample.image) for sample in samples]),
            labels=torch.stack([_ids(sample, sample.label) for sample in samples]),
            names=tuple(sample.name for sample in samples),
            extra_labels={
                head: torch.stack([_ids(sample, sample.extra_labels[head]) for sample in samples])
                for head in samples[0].extra_labels
            },
        )


def check_stackable(samples: Sequence[Sample]) -> None:
    """Raise a `DataError` that names the first two samples that do not fit in one batch."""
    first = samples[0]
    for sample in samples[1:]:
        if sample.image.shape != first.image.shape:
            raise DataError(
                f"{first.name!r} is {_size(first)} and {sample.name!r} is {_size(sample)}, "
                "expected one size within a batch; set crop_size=H,W or resize=H,W, or "
                "batch_size=1"
            )
        if set(sample.extra_labels) != set(first.extra_labels):
            raise DataError(
                f"{first.name!r} has the extra labels {sorted(first.extra_labels)} and "
                f"{sample.name!r} has {sorted(sample.extra_labels)}, expected the same"
            )


def _ids(sample: Sample, label: np.typing.NDArray[np.uint8] | None) -> torch.Tensor:
    if label is None:
        raise DataError(f"{sample.name!r} has no label, expected one to train or validate on")
    return torch.from_numpy(label.astype(np.int64))


def _size(sample: Sample) -> str:
    height, width, bands = sample.image.shape
    return f"{height} x {width} x {bands}"
