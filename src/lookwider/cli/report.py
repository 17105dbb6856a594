"""``lookwider report``: one page about one run or several."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from pydantic import Field
from rich.markup import escape
from rich.table import Table as TerminalTable
from rich.text import Text

from lookwider.cli.completion import complete_runs_and_data
from lookwider.cli.console import messages, out
from lookwider.cli.protocol import PROTOCOL_SETTINGS, parse_protocol
from lookwider.cli.settings import Settings, split_runs

if TYPE_CHECKING:
    from lookwider.report.run_report import RunReport


class ReportSettings(Settings):
    """The ``key=value`` settings of ``lookwider report``, but for those of the protocol."""

    data: str | None = None
    split: str = "test"
    layout: str = "auto"
    class_map: Literal["data", "model"] = "data"
    limit: int | None = Field(None, ge=1)
    train: str | None = None
    train_split: str = "train"
    images: int = Field(4, ge=0)
    probed: int = Field(3, ge=1)
    swapped: int = Field(20, ge=2)
    without: str = ""
    batch_size: int = Field(1, ge=1)
    workers: int = Field(2, ge=1)
    convention: Literal["fcn", "parsenet", "pspnet"] = "fcn"
    out: Path = Path("report.html")


def report(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN... [KEY=VALUE]...",
            help="Run folders or checkpoints, the first one is what others are compared with; "
            "data=PATH (the runs' own when not given), and: split=test out=report.html limit=N "
            "images=4 probed=3 swapped=20 without=failures,fields,context,scales train=PATH "
            "train_split=train layout=auto class_map=data|model batch_size=1 workers=2 "
            "convention=fcn|parsenet|pspnet; protocol=... as of evaluate",
            autocompletion=complete_runs_and_data,
            show_default=False,
        ),
    ],
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON too, for scripts.")] = False,
) -> None:
    """Write one self-contained HTML page that measures and compares runs.

    Example: lookwider report runs/fcn runs/parsenet runs/pspnet data=camvid out=report.html
    """
    runs, values = split_runs(words)
    inference = parse_protocol({key: values.pop(key, None) for key in PROTOCOL_SETTINGS})
    chosen = ReportSettings.parse(values, PROTOCOL_SETTINGS)
    # brings matplotlib and the training engine, which are slow to import
    from lookwider.inference.device import choose_device
    from lookwider.report.collect import Collecting
    from lookwider.report.writing import write_report

    found = write_report(
        runs,
        chosen.out,
        data=chosen.data,
        split=chosen.split,
        layout=chosen.layout,
        class_map=chosen.class_map,
        limit=chosen.limit,
        train=chosen.train,
        train_split=chosen.train_split,
        images=chosen.images,
        how=Collecting(
            inference=inference,
            batch_size=chosen.batch_size,
            workers=chosen.workers,
            convention=chosen.convention,
            device=choose_device(device),
            without=frozenset(filter(None, chosen.without.split(","))),
            probed=chosen.probed,
            swapped=chosen.swapped,
        ),
        console=messages,
        show=not as_json,
    )
    if as_json:
        out.print(json.dumps([run.to_json() for run in found]), markup=False)
    else:
        _show(found, chosen.out)


def runs_table(runs: Sequence[RunReport]) -> TerminalTable:
    """Return the metrics of runs, in per cent, as a table for a terminal."""
    table = TerminalTable()
    table.add_column("run")
    for name in ("mean IoU", "pixel accuracy", "mean accuracy", "fw IoU", "s an image"):
        table.add_column(name, justify="right")
    for run in runs:
        scores = run.evaluation.scores
        shares = (scores.mean_iou, scores.pixel_accuracy, scores.mean_accuracy)
        seconds = run.evaluation.seconds / max(1, len(run.evaluation.images))
        table.add_row(
            Text(run.name),
            *(f"{100 * share:.1f}" for share in (*shares, scores.freq_weighted_iou)),
            f"{seconds:.3g}",
        )
    return table


def _show(runs: Sequence[RunReport], page: Path) -> None:
    out.print(runs_table(runs))
    for run in runs:
        for what, reason in run.missing.items():
            messages.print(f"{run.name}, no {what}: {reason}", markup=False)
    size = page.stat().st_size / 1e6
    messages.print(f"written: {escape(str(page))} ({size:.1f} MB, nothing else is needed)")
    messages.print(f"next: open {escape(str(page))} in a browser")
