"""Pages about runs: what was trained, how it was measured, what it gets wrong, and why."""

from lookwider.report.page import render
from lookwider.report.parts import Breakdown, BreakdownRow, Command, Gallery, Section, Shown
from lookwider.report.run_report import RunReport

__all__ = [
    "Breakdown",
    "BreakdownRow",
    "Command",
    "Gallery",
    "RunReport",
    "Section",
    "Shown",
    "render",
]
