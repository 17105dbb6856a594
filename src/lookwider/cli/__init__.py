"""The command line: one module per verb."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer
from rich.markup import escape

from lookwider.cli.ablate import ablate
from lookwider.cli.bench import bench
from lookwider.cli.console import messages
from lookwider.cli.convert import convert
from lookwider.cli.data import app as data_app
from lookwider.cli.demo import demo
from lookwider.cli.diagnose import diagnose
from lookwider.cli.evaluate import evaluate
from lookwider.cli.predict import predict
from lookwider.cli.probe import app as probe_app
from lookwider.cli.report import report
from lookwider.cli.train import train_command
from lookwider.cli.verify import verify
from lookwider.errors import LookwiderError, MissingExtraError

HELP = """Semantic segmentation that looks at the whole picture before it decides on a pixel.

In the order of use: demo, data check, train, evaluate, predict. What a network looks at, and where
it fails: diagnose, probe, report, ablate. Checkpoints: convert, verify.
How fast this installation is: bench.
"""

app = typer.Typer(name="lookwider", help=HELP, no_args_is_help=True, pretty_exceptions_enable=False)
app.command()(demo)
app.add_typer(data_app, name="data")
app.command(name="train")(train_command)
app.command()(evaluate)
app.command()(predict)
app.command()(diagnose)
app.add_typer(probe_app, name="probe")
app.command()(report)
app.command()(ablate)
app.command()(bench)
app.command()(convert)
app.command()(verify)


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    """Show the version."""
    if version:
        from lookwider import __version__

        typer.echo(f"lookwider {__version__}")
        raise typer.Exit


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
