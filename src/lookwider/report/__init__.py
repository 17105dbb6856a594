"""Pages about a run: what was trained, how it was measured, what it gets wrong."""

from lookwider.report.page import Breakdown, Command, Gallery, render

__all__ = ["Breakdown", "Command", "Gallery", "render"]
