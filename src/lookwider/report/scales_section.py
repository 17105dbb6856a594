"""The section on how large features are."""

from __future__ import annotations

from collections.abc import Sequence

from lookwider.report.parts import Drawing, Drawings, Panels, Section
from lookwider.report.run_report import RunReport


def scales_section(runs: Sequence[RunReport]) -> Section | None:
    """Return how large the features of the runs' layers are; None where it was not measured."""
    measured = [(i, run, run.scales) for i, run in enumerate(runs) if run.scales]
    if not measured:
        return None
    return Section(
        "scales",
        "Feature scales",
        (
            "The L2 norm of the features at a place, layer by layer. Where layers of different "
            "scales are put together without normalisation, the largest one drowns the others "
            "(Liu et al. 2015, section 3.3).",
        ),
        (
            Panels(
                tuple(
                    (
                        i,
                        run.name,
                        Drawings((Drawing(scales.picture(), _said(run), scales.summary()),)),
                    )
                    for i, run, scales in measured
                )
            ),
        ),
    )


def _said(run: RunReport) -> str:
    assert run.scales is not None
    medians = ", ".join(f"{p.title} {n.median:.3g}" for p, n in run.scales.norms.items())
    return f"Distribution of the feature norms of {run.name}; medians: {medians}"
