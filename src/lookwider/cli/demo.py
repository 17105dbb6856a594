"""``lookwider demo``: the main job on the built-in scenes, in a few minutes."""

from __future__ import annotations

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

STEPS, SIZE = 360, "96x128"
"""As in `lookwider.demo`, which takes seconds to import."""

INTERRUPTED = 130
"""Exit code of a command stopped with Ctrl-C, by the shells' custom."""


def demo(
    folder: Annotated[Path, typer.Option("--out", help="Folder of the results.")] = Path("demo"),
    steps: Annotated[int, typer.Option(min=1, help="Steps of the training.")] = STEPS,
    seed: Annotated[int, typer.Option(min=0, help="Of the scenes and the training.")] = 0,
    size: Annotated[str, typer.Option(help="HEIGHTxWIDTH of the scenes.")] = SIZE,
) -> None:
    """Train, evaluate and predict on the built-in scenes, and write a report: start here.

    Takes about three minutes on two cores and needs no files. Stop with Ctrl-C and go on with
    the same command.
    """
    messages.print("lookwider demo: starting; nothing is downloaded")
    # the training engine and the drawing take seconds to import
    from lookwider.demo import run_demo
    from lookwider.training.stopping import StoppedError

    try:
        result = run_demo(folder, steps=steps, seed=seed, size=parse_size(size), console=messages)
    except StoppedError as stopped:
        messages.print(f"{stopped}. Go on with:\n  {_again(folder, steps, seed, size)}")
        raise typer.Exit(128 + stopped.signal) from stopped
    except KeyboardInterrupt as stopped:
        messages.print(f"stopped. Go on with:\n  {_again(folder, steps, seed, size)}")
        raise typer.Exit(INTERRUPTED) from stopped
    show(result)


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
    from lookwider.report.failures import failure_table
    from lookwider.training.progress import duration

    out.print(result.evaluation.table("built-in scenes, test split, in per cent"))
    out.print(result.evaluation.scores.summary(), markup=False)
    out.print(failure_table(result.failures))
    width = max(map(len, result.files))
    out.print(f"made in {duration(result.seconds)}:")
    for what, path in result.files.items():
        out.print(f"  {what:<{width}}  {escape(str(path))}")
    out.print(
        f"next: open {escape(str(result.report))} in a browser; then, with your own images:\n"
        "  lookwider data check PATH\n"
        "  lookwider train fcn8s data=PATH out=runs/first"
    )


def _again(folder: Path, steps: int, seed: int, size: str) -> str:
    """Return the command that goes on, without what is as usual."""
    given = {"--out": folder, "--steps": steps, "--seed": seed, "--size": size}
    usual = {"--out": Path("demo"), "--steps": STEPS, "--seed": 0, "--size": SIZE}
    words = [str(w) for name, value in given.items() if value != usual[name] for w in (name, value)]
    return shlex.join(["lookwider", "demo", *words])
