"""The section on how much runs rely on their context."""

from __future__ import annotations

from collections.abc import Sequence

from lookwider.probes.swap import ContextReliance
from lookwider.probes.swap.reliance_result import KINDS, WORDS
from lookwider.report.parts import Block, Cell, Drawing, Drawings, Panels, Section, Table
from lookwider.report.run_report import RunReport
from lookwider.report.tables import percent

MOST_CLASSES = 12
"""Classes that are named, those that rely on context most."""

Measured = Sequence[tuple[int, RunReport, ContextReliance]]


def context_section(runs: Sequence[RunReport]) -> Section | None:
    """Return what replacing the context changes; None where no run has a context."""
    measured = [(i, run, run.reliance) for i, run in enumerate(runs) if run.reliance]
    if not measured:
        return None
    blocks: list[Block] = [summary(measured), by_class(measured)]
    blocks.append(
        Panels(
            tuple((i, run.name, Drawings((_picture(run, own),))) for i, run, own in measured),
            "Class by class, as a picture",
            folded=True,
        )
    )
    several = len(runs) > 1
    without = tuple(
        f"Not measured: {run.missing['context']}."
        for run in runs
        if run.reliance is None and "context" in run.missing
    )
    images = measured[0][2].images
    return Section(
        "context",
        "Reliance on context",
        (
            "What a network knows of the whole image is replaced, and everything else stays: "
            f"by another image's context, by the mean of all, by zeros; {images} images. The more "
            "pixels change class, the more the decisions rest on the context. A change is no "
            "mistake by itself: the columns of mean IoU say what it costs.",
        ),
        tuple(blocks),
        without if several else (),
    )


def summary(measured: Measured) -> Table:
    """Return per run what changes and what it costs."""
    kinds = [kind for kind in KINDS if all(kind in own.results for _, _, own in measured)]
    labelled = all(own.labelled for _, _, own in measured)
    rows = []
    for i, run, own in measured:
        cells = [Cell(percent(own.results[kind].share_changed)) for kind in kinds]
        if labelled:
            cells.append(Cell(percent(own.results[kinds[0]].mean_iou_before)))
            cells += [Cell(percent(own.results[kind].mean_iou_after)) for kind in kinds]
        rows.append((Cell(run.name, run=i), *cells))
    costs = (
        ("mean IoU with its own", *(f"with {WORDS[kind]}" for kind in kinds)) if labelled else ()
    )
    return Table(
        ("run", *(f"pixels that change with {WORDS[kind]}" for kind in kinds), *costs),
        tuple(rows),
        "In per cent",
    )


def by_class(measured: Measured) -> Table:
    """Return the classes whose pixels change most with another image's context."""
    kind = next(k for k in KINDS if k in measured[0][2].results)
    shares = [own.results[kind].class_changed for _, _, own in measured]
    names = measured[0][2].classes.names
    most = {
        k: max((run[k] for run in shares if run[k] == run[k]), default=-1.0)
        for k in range(len(names))
    }
    chosen = [k for k in sorted(most, key=lambda k: (-most[k], k)) if most[k] >= 0]
    return Table(
        ("class", *(run.name for _, run, _ in measured)),
        tuple((Cell(names[k]), *(_bar(run[k]) for run in shares)) for k in chosen[:MOST_CLASSES]),
        f"The classes that rely on context most: of the pixels that were called so, the per cent "
        f"that change with {WORDS[kind]} context",
        runs={1 + n: i for n, (i, _, _) in enumerate(measured)},
    )


def _bar(share: float) -> Cell:
    return Cell(percent(share), share=share if share == share else None)


def _picture(run: RunReport, reliance: ContextReliance) -> Drawing:
    changed = "; ".join(
        f"{percent(result.share_changed)} % of the pixels change with {WORDS[kind]}"
        for kind, result in reliance.results.items()
    )
    return Drawing(reliance.picture(), f"{run.name}, by class: {changed}")
