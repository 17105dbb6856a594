"""Images larger than memory: read, segmented and written in tiles, with nothing lost on the way."""

from lookwider.inference.large.budget import Tiling, parse_memory
from lookwider.inference.large.choice import Tiler, check_tiled, is_finished
from lookwider.inference.large.segment import LargeReport, predict_large
from lookwider.inference.large.writing import label_path as large_label_path

__all__ = [
    "LargeReport",
    "Tiler",
    "Tiling",
    "check_tiled",
    "is_finished",
    "large_label_path",
    "parse_memory",
    "predict_large",
]
