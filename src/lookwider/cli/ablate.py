"""``lookwider ablate``: a table of the papers, trained and measured again."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from lookwider.cli.console import messages, out
from lookwider.cli.settings import parse_settings
from lookwider.errors import ConfigError

if TYPE_CHECKING:
    from lookwider.ablation.result import AblationResult

SEEDS, SPLIT = 3, "test"

FAILED = 1
"""Exit code of a table with runs that failed."""


def ablate(
    table: Annotated[
        str, typer.Argument(help="A table: fcn, ...; see --list.", show_default=False)
    ] = "",
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            help="data=PATH seeds=3 test_split=test, and settings of lookwider train for all rows",
            show_default=False,
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder of the results; runs/ablation-TABLE.", show_default=False
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(help="Runs at once; one for each GPU.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
    show_list: Annotated[bool, typer.Option("--list", help="List the tables.")] = False,
) -> None:
    """Train and measure a table of the papers again, with several seeds, beside their numbers.

    Stop with Ctrl-C and go on with the same command: what is finished is kept.

    Example: lookwider ablate fcn data=scenes seeds=3
    """
    if show_list or not table:
        print_tables(as_json=as_json)
        return
    # the training engine and the drawing take seconds to import
    from lookwider.ablation import find_table
    from lookwider.ablation.plan import make_plan
    from lookwider.ablation.runner import TableStoppedError, run_table
    from lookwider.ablation.writing import command

    chosen = find_table(table)
    values = parse_settings(settings or [])
    if "data" not in values:
        messages.print("no data= given: the built-in scenes")
    plan = make_plan(
        chosen,
        {name: value for name, value in values.items() if name not in {"seeds", "test_split"}},
        seeds=_whole_number("seeds", values.get("seeds", str(SEEDS))),
        split=values.get("test_split", SPLIT),
        out=folder or Path("runs") / f"ablation-{table}",
    )
    try:
        result = run_table(plan, jobs=jobs, console=messages)
    except TableStoppedError as stopped:
        messages.print(f"{escape(str(stopped))}. Go on with:\n  {escape(command(plan))}")
        raise typer.Exit(128 + stopped.signal) from stopped
    if as_json:
        out.print(json.dumps(result.to_json()), markup=False)
    else:
        show(result)
    if result.failed:
        raise typer.Exit(FAILED)


def _whole_number(name: str, value: str) -> int:
    if not value.isdecimal():
        raise ConfigError(f"got {name}={value!r}, expected a whole number, e.g. {name}=3")
    return int(value)


def show(result: AblationResult) -> None:
    """Print the table, what its marks mean, where the files are, and what to do next."""
    from lookwider.ablation.writing import footnotes, paths, terminal_tables

    for table in terminal_tables(result):
        out.print(table)
    for note in footnotes(result):
        out.print(f"  {note.replace('`', '')}", markup=False)
    for failure in result.failures:
        messages.print(f"[bold red]failed:[/] {escape(failure)}")
    messages.print("written: " + escape(", ".join(str(path) for path in paths(result.plan))))
    best = result.best()
    if best is not None:
        words = ["lookwider", "evaluate", str(best.job.config.out)]
        words += [f"data={result.plan.data}", f"split={result.plan.split}"]
        messages.print(f"next, the classes of the best run: {escape(shlex.join(words))}")


def print_tables(*, as_json: bool = False) -> None:
    """Print the tables, what each compares, and how many rows it has."""
    from lookwider.ablation import TABLES

    if as_json:
        told = {
            name: {"title": table.title, "rows": len(table.rows), "source": table.source}
            for name, table in TABLES.items()
        }
        out.print(json.dumps(told), markup=False)
        return
    listed = Table("table", "what its rows compare", "rows", "source", box=None, pad_edge=False)
    for name, table in TABLES.items():
        listed.add_row(name, table.title, str(len(table.rows)), table.source)
    out.print(listed)
    out.print("\nnext: lookwider ablate fcn data=scenes seeds=3")
