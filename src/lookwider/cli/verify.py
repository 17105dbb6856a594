"""``lookwider verify``: is a checkpoint what it was when it was written?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lookwider.cli.completion import complete_run
from lookwider.cli.console import out

if TYPE_CHECKING:
    from lookwider.weights.verification import Verification


def verify(
    run: Annotated[
        Path,
        typer.Argument(
            help="A run folder, a checkpoint, or hf://OWNER/NAME.",
            autocompletion=complete_run,
            show_default=False,
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Compare a checkpoint's files with their hashes, and its outputs with those stored in it.

    Exit code 0: as it was written; 1: not; 2: no checkpoint there.

    Example: lookwider verify models/fcn8s
    """
    from lookwider.weights.verification import verify as run_verification

    result = run_verification(run)
    if as_json:
        out.print(json.dumps(result.to_json()), markup=False)
    else:
        _show(result)
    if not result.good:
        raise typer.Exit(1)


def _show(result: Verification) -> None:
    from lookwider.weights.golden import TOLERANCE

    for name, problem in result.files.items():
        out.print(f"{name}: {problem or 'as it was written'}", markup=False)
    for name, difference in (result.differences or {}).items():
        out.print(f"output {name}: differs by {difference:.1e} of its largest value", markup=False)
    if result.problem is not None:
        out.print(f"the network could not be run: {result.problem}", markup=False)
    if result.differences == {}:
        out.print("no golden outputs in it: only the files were compared")
    if result.worst is not None:
        fits = "within" if result.worst <= TOLERANCE else "beyond"
        out.print(f"worst difference {result.worst:.1e}, {fits} the tolerance of {TOLERANCE:.0e}")
    out.print("good" if result.good else "NOT GOOD", markup=False)
