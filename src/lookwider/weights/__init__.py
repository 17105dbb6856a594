"""Checkpoints: safetensors and JSON, strict, never a pickle."""

from lookwider.weights.checkpoint import load, save

__all__ = ["load", "save"]
