"""The sections of a page that instruments give."""

from __future__ import annotations

from collections.abc import Sequence

from lookwider.report.context_section import context_section
from lookwider.report.failure_section import failure_section
from lookwider.report.field_section import field_section
from lookwider.report.parts import Section
from lookwider.report.run_report import RunReport
from lookwider.report.scales_section import scales_section


def instrument_sections(runs: Sequence[RunReport]) -> tuple[Section, ...]:
    """Return the sections for which there is something to show, in their order."""
    makers = (failure_section, field_section, context_section, scales_section)
    found = (make(runs) for make in makers)
    return tuple(section for section in found if section is not None)
