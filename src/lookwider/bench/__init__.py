"""How fast this installation is: its stages, the plain form of the same network, the floor."""

from lookwider.bench.result import BenchResult, Comparison
from lookwider.bench.run import bench

__all__ = ["BenchResult", "Comparison", "bench"]
