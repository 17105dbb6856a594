"""Pages about a run: what was trained, how it was measured, what it gets wrong."""

from lookwider.report.page import render
from lookwider.report.parts import Breakdown, BreakdownRow, Command, Gallery

__all__ = ["Breakdown", "BreakdownRow", "Command", "Gallery", "render"]
