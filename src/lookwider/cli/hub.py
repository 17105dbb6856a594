"""``lookwider push``: a run and its model card to the Hugging Face Hub."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from lookwider.cli.completion import complete_run
from lookwider.cli.console import messages, out


def push(
    run: Annotated[
        str,
        typer.Argument(
            help="A run folder or a checkpoint.", autocompletion=complete_run, show_default=False
        ),
    ],
    repo: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="On the Hub.")],
    private: Annotated[
        bool, typer.Option("--private", help="Make a new repository private.")
    ] = False,
    licence: Annotated[
        str | None, typer.Option("--license", help="Identifier on the Hub, e.g. apache-2.0.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="A PNG or JPEG to show on the card, e.g. an overlay.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--out", help="Write the files here, to look at them; upload nothing."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Upload a run with a model card written from it: data, training, scores, failures, limits.

    Log in first: hf auth login. Example: lookwider push runs/a ann/roads --private
    """
    from lookwider.hub.upload import push_to_hub, write_hub_files

    if folder is not None:
        names = write_hub_files(run, repo, folder, licence=licence, picture=picture)
        next_command = f"look at {folder / 'README.md'}, then the same command without --out"
        told: dict[str, object] = {"repo": repo, "out": str(folder), "files": names}
        line = f"written, not uploaded: {', '.join(names)} in {folder}"
    else:
        pushed = push_to_hub(run, repo, private=private, licence=licence, picture=picture)
        next_command = f"lookwider predict hf://{repo} FILES_OR_FOLDER --out DIR"
        told = dataclasses.asdict(pushed)
        line = f"uploaded: {', '.join(pushed.files)} to {pushed.url}"
    if as_json:
        out.print(json.dumps(told), markup=False)
        return
    out.print(line, markup=False)
    messages.print(f"next: {next_command}", markup=False)
