"""Data sets, transforms and the built-in scenes: files to samples to batches."""

from lookwider.data.doctor import check_dataset
from lookwider.data.layouts import open_dataset
from lookwider.data.sample import Batch, Sample, SegmentationDataset
from lookwider.data.scenes import SceneDataset

__all__ = [
    "Batch",
    "Sample",
    "SceneDataset",
    "SegmentationDataset",
    "check_dataset",
    "open_dataset",
]
