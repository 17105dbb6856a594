"""The section on the three kinds of failure."""

from __future__ import annotations

from collections.abc import Sequence

from lookwider.diagnosis import Diagnosis
from lookwider.diagnosis.pictures import examples_picture, recall_picture
from lookwider.diagnosis.result import shown
from lookwider.report.mended_section import mended_blocks
from lookwider.report.parts import (
    Block,
    Cell,
    Drawing,
    Drawings,
    Panels,
    Section,
    Table,
    Terms,
    marked,
)
from lookwider.report.run_report import RunReport
from lookwider.report.tables import percent, thousands

MOST_CLASSES = 8
"""Classes of a kind that are named."""

LEAST_SHARE = 0.0005
"""Shares of a class below this are not listed: they would read 0."""

Diagnosed = Sequence[tuple[int, RunReport, Diagnosis]]


def failure_section(runs: Sequence[RunReport]) -> Section | None:
    """Return what kinds of failure the runs show; None where none was diagnosed."""
    diagnosed = [(i, run, run.diagnosis) for i, run in enumerate(runs) if run.diagnosis]
    if not diagnosed:
        return None
    first = diagnosed[0][2]
    blocks: list[Block] = [shares_table(diagnosed)]
    blocks.append(Terms(tuple((k.title, f"{k.definition} ({k.source})") for k in first.kinds)))
    blocks.append(counts_table(diagnosed))
    blocks += [table for kind in first.kinds if (table := class_table(diagnosed, kind.kind))]
    blocks.append(
        Panels(
            tuple((i, run.name, examples(run.name, own)) for i, run, own in diagnosed),
            "The worst objects of each kind, and which objects are found",
            folded=True,
        )
    )
    blocks += mended_blocks(runs)
    return Section(
        "failures",
        "Kinds of failure",
        (
            "Scene parsing fails in three ways without enough context (Zhao et al. 2017, section "
            "3.1). Here every wrong pixel is sorted by rules that need nothing but labels. A "
            "pixel may be of several kinds, so they do not add up.",
        ),
        tuple(blocks),
    )


def shares_table(diagnosed: Diagnosed) -> Table:
    """Return the share of the labelled pixels that each kind makes wrong, by run."""
    first = diagnosed[0][2]
    rows = [(kind.title, [d.kinds[i].share for _, _, d in diagnosed])
            for i, kind in enumerate(first.kinds)]  # fmt: skip
    rows.append(("none of the three", [_ratio(d.other, d.pixels) for _, _, d in diagnosed]))
    rows.append(("all wrong pixels", [_ratio(d.wrong, d.pixels) for _, _, d in diagnosed]))
    most = max((share for _, shares in rows for share in shares if share == share), default=1.0)
    several = len(diagnosed) > 1
    return Table(
        ("wrong pixels", *(run.name if several else "%" for _, run, _ in diagnosed)),
        tuple((Cell(title), *_bars(shares, most or 1.0)) for title, shares in rows),
        f"In per cent of all labelled pixels; {first.images} images"
        + ("; the least is marked" if several else ""),
        runs={1 + n: i for n, (i, _, _) in enumerate(diagnosed)} if several else {},
    )


def _bars(shares: Sequence[float], most: float) -> list[Cell]:
    cells = marked(shares, [percent(share) for share in shares], highest=False)
    return [
        Cell(cell.text, cell.best, share / most if share == share else None)
        for cell, share in zip(cells, shares, strict=True)
    ]


def counts_table(diagnosed: Diagnosed) -> Table:
    """Return objects, pixels and share of the wrong pixels, by kind and run."""
    rows = [
        (
            Cell(kind.title),
            Cell(run.name, run=i),
            Cell(thousands(kind.objects)),
            Cell(thousands(kind.pixels)),
            Cell(percent(kind.share_of_errors)),
        )
        for place in range(len(diagnosed[0][2].kinds))
        for i, run, diagnosis in diagnosed
        for kind in (diagnosis.kinds[place],)
    ]
    return Table(
        ("kind", "run", "objects", "wrong pixels", "% of the wrong pixels"),
        tuple(rows),
        texts=frozenset({0, 1}),
        folded="The same in objects and pixels",
    )


def class_table(diagnosed: Diagnosed, kind: str) -> Table | None:
    """Return the classes that lose most to a kind of failure, in per cent of their pixels."""
    results = [next(k for k in d.kinds if k.kind == kind) for _, _, d in diagnosed]
    worst = {
        c: max((share for r in results if (share := r.per_class[c].share) == share), default=0.0)
        for c in range(len(results[0].per_class))
    }
    order = sorted(worst, key=lambda c: (-worst[c], c))
    chosen = [c for c in order if worst[c] >= LEAST_SHARE][:MOST_CLASSES]
    if not chosen:
        return None
    several = len(diagnosed) > 1
    return Table(
        ("class", *(run.name if several else "%" for _, run, _ in diagnosed)),
        tuple(
            (
                Cell(results[0].per_class[c].name),
                *(Cell(percent(r.per_class[c].share)) for r in results),
            )
            for c in chosen
        ),
        "In per cent of the class's pixels",
        folded=f"Which classes lose most: {results[0].title}",
        runs={1 + n: i for n, (i, _, _) in enumerate(diagnosed)} if several else {},
    )


def examples(name: str, diagnosis: Diagnosis) -> Drawings:
    """Return the pictures of the worst objects of each kind, and of the recall."""
    drawings = [
        Drawing(
            examples_picture(
                [shown(e) for e in kind.examples], diagnosis.classes, title=kind.title
            ),
            f"{kind.title} of {name}: " + "; ".join(f"{e.name}: {e.words}" for e in kind.examples),
        )
        for kind in diagnosis.kinds
        if kind.examples
    ]
    if diagnosis.by_size.objects.any():
        drawings.append(
            Drawing(
                recall_picture(diagnosis.by_size, diagnosis.by_contrast, diagnosis.classes),
                f"Share of the objects that {name} finds, by their size and by their contrast",
            )
        )
    return Drawings(tuple(drawings))


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
