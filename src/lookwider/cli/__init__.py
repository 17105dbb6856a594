"""The command line: one module per verb."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer
from rich.markup import escape

from lookwider.cli.console import messages
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

    Exit codes: 0 done; 1 done with failures that were listed; 2 a mistake in what was given;
    130 stopped with Ctrl-C.
    """
    try:
        app()
    except (LookwiderError, MissingExtraError) as error:
        messages.print(f"[bold red]error:[/] {escape(str(error))}")
        sys.exit(2)
    except KeyboardInterrupt:
        messages.print("stopped")
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        fix = "is the folder there, writable, and the disk not full?"
        messages.print(f"[bold red]error:[/] {escape(str(error))}; {fix}")
        sys.exit(2)
