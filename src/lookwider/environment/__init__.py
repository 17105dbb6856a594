"""Whether this installation is sound, what the machine has, and how fast it is."""

from lookwider.environment.check import Environment, check_environment
from lookwider.environment.findings import Finding

__all__ = ["Environment", "Finding", "check_environment"]
