"""From files to predictions in files."""

from lookwider.inference.predictor import find_images, predict_files

__all__ = ["find_images", "predict_files"]
