"""The section on how far decisions look."""

from __future__ import annotations

from collections.abc import Sequence

from lookwider.probes.fields import FieldReport
from lookwider.probes.fields.average import Spread
from lookwider.probes.fields.pictures import Panel, fields_picture
from lookwider.report.parts import Cell, Drawing, Drawings, Section, Table
from lookwider.report.run_report import RunReport

IN_A_ROW = 4
"""Runs side by side in a picture."""

Measured = Sequence[tuple[int, RunReport, FieldReport]]


def field_section(runs: Sequence[RunReport]) -> Section | None:
    """Return how far the runs' decisions look; None where no field was measured."""
    measured = [(i, run, run.fields) for i, run in enumerate(runs) if run.fields]
    if not measured:
        return None
    first = measured[0][2]
    percent = f"{100 * first.measured['empirical'][0].threshold:g}"
    (row, col), number = first.theoretical[0].at, len(first.names)
    return Section(
        "fields",
        "Receptive fields",
        (
            f"How much of an image the class scores at pixel {row}, {col} see. Theoretical: what "
            "could reach them. Empirical: covered by noise, these pixels change the scores by "
            f"more than {percent}\u00a0% of the largest change (Liu "
            "et al. 2015, section 3.1; Zhou et al. 2015). By gradient: where the absolute "
            "gradient exceeds 4.55 % of its maximum (Luo et al. 2016).",
        ),
        (table(measured), Drawings((drawing(measured),))),
        (
            (f"Mean of {number} images, ± the deviation between them. " if number > 1 else "")
            + "A side is that of a square of the same area.",
        ),
    )


def table(measured: Measured) -> Table:
    """Return the sides and shares of the fields, by run."""
    rows = []
    for i, run, report in measured:
        means = report.averages()
        empirical, gradient = means["empirical"], means["gradient"]
        theoretical = sum(one.side for one in report.theoretical) / len(report.theoretical)
        rows.append(
            (
                Cell(run.name, run=i),
                Cell(report.law().replace(" x ", "\u00a0x\u00a0")),
                Cell(f"{theoretical:.0f}"),
                Cell(said(empirical.side)),
                Cell(said(empirical.share_of_image, 100)),
                Cell(said(empirical.share_of_theoretical, 100)),
                Cell(said(gradient.side)),
            )
        )
    return Table(
        (
            "run",
            "theoretical, by the law",
            "its side within the image",
            "empirical side",
            "% of the image",
            "% of the theoretical",
            "side by gradient",
        ),
        tuple(rows),
        "Sides in pixels",
        texts=frozenset({0, 1}),
    )


def said(spread: Spread, factor: float = 1) -> str:
    """Return a mean with its deviation, where there is one.

    Example:
        >>> said(Spread(0.25, 0.1), 100), said(Spread(3, float("nan")))
        ('25 ± 10', '3')
    """
    mean = f"{factor * spread.mean:.0f}"
    known = spread.deviation == spread.deviation  # nan is not
    return f"{mean} ± {factor * spread.deviation:.0f}" if known else mean


def drawing(measured: Measured) -> Drawing:
    """Return the empirical fields of all runs side by side: on one image, and in the mean."""
    rows: list[list[Panel]] = []
    for start in range(0, len(measured), IN_A_ROW):
        some = measured[start : start + IN_A_ROW]
        fields = [(run.name, report.measured["empirical"]) for _, run, report in some]
        rows.append([own[0].panel(f"{name}: side {own[0].side:.0f} px") for name, own in fields])
        if len(fields[0][1]) > 1:
            rows.append(
                [
                    report.averages()["empirical"].panel(f"{run.name}: mean of {len(own)}")
                    for (_, run, report), (_, own) in zip(some, fields, strict=True)
                ]
            )
    sides = ", ".join(
        f"{run.name} {said(report.averages()['empirical'].side)} pixels"
        for _, run, report in measured
    )
    name = measured[0][2].names[0]
    return Drawing(
        fields_picture(rows),
        f"Empirical receptive fields of one place on {name}, brighter where noise changes the "
        f"scores more; their sides: {sides}",
        f"Empirical field on {name}"
        + (", and the mean over the images." if len(measured[0][2].names) > 1 else "."),
    )
