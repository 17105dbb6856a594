"""What a network's context does to its decisions: replace it, and see what changes."""

from lookwider.probes.swap.reliance import context_reliance
from lookwider.probes.swap.reliance_result import ContextReliance, Reliance
from lookwider.probes.swap.replacements import (
    Mean,
    OneRegion,
    OtherImage,
    Replacement,
    Zeros,
    mean_context,
)
from lookwider.probes.swap.swap import ContextSwap, swap_context, swap_layer

__all__ = [
    "ContextReliance",
    "ContextSwap",
    "Mean",
    "OneRegion",
    "OtherImage",
    "Reliance",
    "Replacement",
    "Zeros",
    "context_reliance",
    "mean_context",
    "swap_context",
    "swap_layer",
]
