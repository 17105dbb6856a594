"""``lookwider doctor``: is this installation sound, and how fast is it?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from lookwider.cli.console import messages, out

if TYPE_CHECKING:
    from lookwider.environment import Environment

MARKS = {"good": ("ok", "green"), "note": ("note", "yellow"), "broken": ("BROKEN", "bold red")}


def doctor(
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Look at the libraries, devices, threads, memory and disk, and time a small network.

    Exit code 0: it works; 1: something is broken, and the line says what to do.
    """
    with messages.status("importing PyTorch") as status:
        try:
            from lookwider.environment import check_environment
        except (ImportError, OSError) as error:  # a library of another build, or half of one
            _show_unusable(error, as_json)
            raise typer.Exit(1) from error
        found = check_environment(Path(), device, status.update)
    if as_json:
        out.print(json.dumps(found.to_json()), markup=False)
    else:
        _show(found)
    if not found.good:
        raise typer.Exit(1)


def _show_unusable(error: Exception, as_json: bool) -> None:
    """Print that not even the libraries can be imported."""
    reason = f"cannot be imported: {error}"
    advice = "install them anew, in an environment of its own: pip install lookwider"
    if as_json:
        finding = {"name": "libraries", "found": reason, "state": "broken", "advice": advice}
        out.print(json.dumps({"good": False, "findings": [finding]}), markup=False)
        return
    out.print(f"BROKEN  libraries  {reason}\n-> {advice}", markup=False)
    messages.print("next: mend what is marked BROKEN, then lookwider doctor")


def _show(found: Environment) -> None:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for style in ("", "bold", ""):
        table.add_column(style=style, overflow="fold", no_wrap=bool(style))
    for finding in found.findings:
        mark, colour = MARKS[finding.state]
        table.add_row(Text(mark, colour), finding.name, Text(finding.found))
        if finding.advice:
            table.add_row("", "", Text(f"-> {finding.advice}", "cyan"))
    out.print(table)
    if found.good:
        out.print("good: nothing is broken")
        messages.print("next: lookwider demo, or lookwider data check PATH", markup=False)
    else:
        messages.print("next: mend what is marked BROKEN, then lookwider doctor")
