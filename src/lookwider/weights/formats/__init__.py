"""Readers of other projects' weight files; none executes anything that a file holds."""

from lookwider.weights.formats.caffemodel import CaffeLayer, CaffeNet, read_caffemodel
from lookwider.weights.formats.pth import read_pth
from lookwider.weights.formats.reading import read_safetensors, read_weights

__all__ = [
    "CaffeLayer",
    "CaffeNet",
    "read_caffemodel",
    "read_pth",
    "read_safetensors",
    "read_weights",
]
