"""The command line: one module per verb."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer
from rich.markup import escape

from lookwider.cli.console import messages, out
from lookwider.cli.verbs import LazyGroup
from lookwider.errors import LookwiderError, MissingExtraError

HELP = """Semantic segmentation that looks at the whole picture before it decides on a pixel.

Without a verb: the verbs in the order of use, and the next step in this folder.
"""

app = typer.Typer(name="lookwider", help=HELP, cls=LazyGroup, pretty_exceptions_enable=False)


@app.callback(invoke_without_command=True)
def options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    """Show the version, or where to begin."""
    if version:
        from lookwider import __version__

        typer.echo(f"lookwider {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        from lookwider.cli.overview import show_overview

        show_overview()


def main() -> None:
    """Run the command line; mistakes are told without a traceback.

    Exit codes: 0 done; 1 done, and the result is bad; 2 a mistake in what was given; 130 stopped
    with Ctrl-C; 141 nobody reads standard output any more; 143 stopped by SIGTERM. With ``--json``
    an error is also one object on standard output, unless a result is there already.
    """
    as_json, out.used = "--json" in sys.argv[1:], False
    problem = ""
    try:
        code = app(standalone_mode=not as_json) or 0
    except (LookwiderError, MissingExtraError) as error:
        problem, code = str(error), 2
    except OSError as error:
        problem, code = f"{error}; is the folder there, writable, and the disk not full?", 2
    except Exception as error:
        if not as_json:
            raise
        wrong_usage = getattr(error, "format_message", None)  # of click, which typer hides
        if wrong_usage is None:
            _print_error(f"{type(error).__name__}: {error}", 1)
            raise
        problem, code = wrong_usage(), 2
    if problem:
        messages.print(f"[bold red]error:[/] {escape(problem)}")
    if as_json and (problem or code > 128):
        _print_error(problem or "stopped", code)
    sys.exit(code)


def _print_error(problem: str, code: int) -> None:
    """Print an error as JSON, unless a result was printed."""
    if not out.used:
        out.print(json.dumps({"error": problem, "exit_code": code}), markup=False)
