"""The command line: one module per verb."""

from __future__ import annotations

import os
import sys

import typer
from rich.markup import escape

from lookwider.cli.console import messages
from lookwider.cli.data import app as data_app
from lookwider.cli.evaluate import evaluate
from lookwider.cli.predict import predict
from lookwider.cli.train import train
from lookwider.errors import LookwiderError, MissingExtraError

app = typer.Typer(
    name="lookwider",
    help=__import__("lookwider").__doc__,
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
app.add_typer(data_app, name="data")
app.command()(train)
app.command()(evaluate)
app.command()(predict)


def main() -> None:
    """Run the command line; mistakes are told without a traceback."""
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
