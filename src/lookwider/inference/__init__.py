"""From files to predictions in files; whole images, or scales, windows and mirror images."""

from lookwider.inference.multiscale import class_probabilities
from lookwider.inference.predictor import find_images, predict_files, predict_image
from lookwider.inference.protocol import InferenceProtocol, named_protocol

__all__ = [
    "InferenceProtocol",
    "class_probabilities",
    "find_images",
    "named_protocol",
    "predict_files",
    "predict_image",
]
