"""``lookwider probe``: what a network looks at, one module per instrument."""

from __future__ import annotations

import typer

from lookwider.cli.probe_context import context
from lookwider.cli.probe_field import field
from lookwider.cli.probe_scales import scales

app = typer.Typer(
    help="What a network looks at: receptive fields, feature scales, what its context does.",
    no_args_is_help=True,
)
app.command()(field)
app.command()(scales)
app.command()(context)
