"""``lookwider demo``: the main job on the built-in scenes, in some minutes."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from lookwider.cli.console import messages, out
from lookwider.errors import ConfigError

if TYPE_CHECKING:
    from lookwider.demo import DemoResult

SYSTEMS, STEPS, SIZE = "fcn8s,parsenet,pspnet", 300, "96x128"
"""As in `lookwider.demo`, which takes seconds to import."""

INTERRUPTED = 130
"""Exit code of a command stopped with Ctrl-C, by the shells' custom."""


def demo(
    folder: Annotated[Path, typer.Option("--out", help="Folder of the results.")] = Path("demo"),
    systems: Annotated[str, typer.Option(help="What to compare.")] = SYSTEMS,
    steps: Annotated[int, typer.Option(min=1, help="Steps of each training.")] = STEPS,
    seed: Annotated[int, typer.Option(min=0, help="Of the scenes and the trainings.")] = 0,
    size: Annotated[str, typer.Option(help="HEIGHTxWIDTH of the scenes.")] = SIZE,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Train three systems on the built-in scenes and write a report that compares them: start here.

    Takes some seven minutes on two cores and needs no files; --systems pspnet takes a third of it.
    Stop with Ctrl-C and go on with the same command.
    """
    messages.print("lookwider demo: starting; nothing is downloaded")
    # the training engine and the drawing take seconds to import
    from lookwider.demo import run_demo
    from lookwider.training.stopping import StoppedError

    again = _again(folder, systems, steps, seed, size)
    try:
        result = run_demo(
            folder,
            systems=[name.strip() for name in systems.split(",") if name.strip()],
            steps=steps,
            seed=seed,
            size=parse_size(size),
            console=messages,
        )
    except StoppedError as stopped:
        messages.print(f"{stopped}. Go on with:\n  {again}")
        raise typer.Exit(128 + stopped.signal) from stopped
    except KeyboardInterrupt as stopped:
        messages.print(f"stopped. Go on with:\n  {again}")
        raise typer.Exit(INTERRUPTED) from stopped
    if as_json:
        out.print(json.dumps(_content(result)), markup=False)
    else:
        show(result)


def _content(result: DemoResult) -> dict[str, object]:
    return {
        "runs": [run.to_json() for run in result.runs],
        "files": {what: str(path) for what, path in result.files.items()},
        "seconds": result.seconds,
    }


def parse_size(text: str) -> tuple[int, int]:
    """Read HEIGHTxWIDTH.

    Raises:
        ConfigError: it is not of that form.

    Example:
        >>> parse_size("96x128")
        (96, 128)
    """
    match = re.fullmatch(r"(\d+)x(\d+)", text.strip())
    if match is None:
        raise ConfigError(f"got --size {text!r}, expected HEIGHTxWIDTH, e.g. 96x128")
    return int(match[1]), int(match[2])


def show(result: DemoResult) -> None:
    """Print the scores, where everything is, and what to do next."""
    from lookwider.cli.report import runs_table
    from lookwider.report.failures import failure_table
    from lookwider.training.progress import duration

    out.print(runs_table(result.runs))
    out.print(failure_table([run.name for run in result.runs], result.failures))
    width = max(map(len, result.files))
    out.print(f"made in {duration(result.seconds)}:")
    for what, path in result.files.items():
        out.print(f"  {what:<{width}}  {escape(str(path))}")
    out.print(
        f"next: open {escape(str(result.report))} in a browser; then, with your own images:\n"
        "  lookwider data check PATH\n"
        "  lookwider train fcn8s data=PATH out=runs/first"
    )


def _again(folder: Path, systems: str, steps: int, seed: int, size: str) -> str:
    """Return the command that goes on, without what is as usual."""
    given = {
        "--out": folder, "--systems": systems, "--steps": steps, "--seed": seed, "--size": size
    }  # fmt: skip
    usual = {
        "--out": Path("demo"), "--systems": SYSTEMS, "--steps": STEPS, "--seed": 0, "--size": SIZE
    }  # fmt: skip
    words = [str(w) for name, value in given.items() if value != usual[name] for w in (name, value)]
    return shlex.join(["lookwider", "demo", *words])
