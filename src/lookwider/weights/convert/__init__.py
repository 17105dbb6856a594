"""Other projects' trained networks, turned into checkpoints of lookwider."""

from lookwider.weights.convert.conversion import Conversion, convert
from lookwider.weights.convert.nets import NETS

__all__ = ["NETS", "Conversion", "convert"]
