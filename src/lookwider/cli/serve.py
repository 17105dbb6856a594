"""``lookwider serve``: a web page and a service with trained networks."""

from __future__ import annotations

import json
import logging
import os
import shlex
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from lookwider.cli.completion import complete_run
from lookwider.cli.console import messages, out
from lookwider.errors import ConfigError, MissingExtraError
from lookwider.web.settings import ServiceSettings

if TYPE_CHECKING:
    from lookwider.web.models import ServedModels

TOKEN = "LOOKWIDER_TOKEN"
"""The environment's variable with the token; on a command line others could read it."""

LIBRARIES = ("fastapi", "starlette", "uvicorn", "prometheus_client", "python_multipart", "gradio")

LONGEST_TOKEN = 4096


def serve(
    run: Annotated[
        Path,
        typer.Argument(
            help="A run, a checkpoint, or a folder of runs.",
            autocompletion=complete_run,
            show_default=False,
        ),
    ],
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")
    ] = ServiceSettings.host,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port; 0 for any that is free.")
    ] = ServiceSettings.port,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help=f"File with the token that requests must carry; or the variable {TOKEN}.",
            show_default=False,
        ),
    ] = None,
    max_pixels: Annotated[
        int, typer.Option(min=1, help="Of an image.")
    ] = ServiceSettings.max_pixels,
    max_bytes: Annotated[str, typer.Option(help="Of a request.")] = "50MB",
    max_memory: Annotated[
        str, typer.Option(help="For images and the network; larger images go in tiles, exactly.")
    ] = "4GB",
    queue: Annotated[
        int, typer.Option(min=1, help="Images that may be there at once.")
    ] = ServiceSettings.queue,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds that an image may take.")
    ] = ServiceSettings.timeout,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    dtype: Annotated[
        str, typer.Option(help="float32, bfloat16, or auto: bfloat16 where it is faster.")
    ] = "float32",
    no_studio: Annotated[bool, typer.Option("--no-studio", help="Only the service.")] = False,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the address and the models as JSON.")
    ] = False,
) -> None:
    """Serve trained networks: a page to try them on, and a service for programs.

    Ctrl-C finishes what was accepted, then ends.

    Example: lookwider serve runs
    """
    from lookwider.inference.compiled import named_dtype
    from lookwider.inference.large import parse_memory

    settings = ServiceSettings(
        host=host,
        port=port,
        token=read_token(token_file),
        max_bytes=parse_memory(max_bytes),
        max_pixels=max_pixels,
        max_memory=parse_memory(max_memory),
        queue=queue,
        timeout=timeout,
    )
    computing = named_dtype(dtype)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    messages.print("lookwider serve: loading")
    try:  # these take seconds to import
        from lookwider.web.app import create_app
        from lookwider.web.models import ServedModels
        from lookwider.web.server import address_of, listen, run_server

        with listen(settings) as listener:
            models = ServedModels.open(run, device, computing)
            models.default.fast()
            app = create_app(models, settings, studio=not no_studio)
            started = _Started(address_of(listener), settings, models, token_file, not no_studio)
            signals = run_server(
                app,
                listener,
                settings,
                on_start=lambda: _tell(started, open_page, as_json),
                on_stop=_tell_end,
            )
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in LIBRARIES:
            raise
        raise MissingExtraError(error.name, "web", "lookwider serve") from error
    at_once = len(signals) > 1
    messages.print(f"stopped{' at once' if at_once else '; all that was accepted is answered'}")
    raise typer.Exit(128 + signals[0] if signals else 1)


@dataclass(frozen=True)
class _Started:
    address: str
    settings: ServiceSettings
    models: ServedModels
    token_file: Path | None
    studio: bool


def read_token(path: Path | None) -> str | None:
    """Return the token of a file, or of the environment; None where there is neither.

    Raises:
        ConfigError: the file cannot be read, or holds no token.
    """
    if path is None:
        return os.environ.get(TOKEN) or None
    try:
        with path.open("rb") as file:
            token = file.read(LONGEST_TOKEN).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: cannot be read as a token ({type(error).__name__}), expected a file with "
            "one line of letters, digits or signs"
        ) from error
    if not token:
        raise ConfigError(f"{path}: is empty, expected a token of at least 16 characters")
    return token


def _tell(started: _Started, open_page: bool, as_json: bool) -> None:
    address, models = started.address, started.models
    if as_json:
        page = f"{address}/" if started.studio else None
        content = {"address": address, "page": page, "models": list(models)}
        out.print(json.dumps(content), markup=False)
        out.file.flush()
    for name, reason in models.refused.items():
        messages.print(f"not served: {escape(name)}: {escape(reason)}")
    _warn(started.settings)
    first, *others = map(escape, models)
    more = f"; on request also {', '.join(others)}" if others else ""
    messages.print(f"serving:   {first}{more}")
    if started.studio:
        messages.print(f"page:      {address}/")
    messages.print(f"service:   {address}/v1/segment, described in {address}/openapi.json")
    messages.print(f"try:       {escape(_example(started))}")
    messages.print("stop with: Ctrl-C, which finishes what was accepted")
    messages.print(
        f"next: open {address}/ in a browser" if started.studio else "next: send an image, as above"
    )
    if open_page and started.studio:
        webbrowser.open(f"{address}/")


def _warn(settings: ServiceSettings) -> None:
    if settings.is_loopback:
        return
    if settings.token is None:
        messages.print(
            f"[bold red]warning:[/] others on the network can use this service, and nothing asks "
            f"who they are. Give it a token (--token-file, or {TOKEN}), or leave out --host"
        )
    else:
        messages.print(
            "[bold yellow]warning:[/] others on the network can reach this service, and what they "
            "send is not encrypted: the token neither. Put a proxy with HTTPS before it"
        )


def _example(started: _Started) -> str:
    words = ["curl", "--data-binary", "@photo.jpg", f"{started.address}/v1/segment?format=overlay"]
    text = shlex.join([*words, "-o", "overlay.jpg"])
    if started.settings.token is None:
        return text
    file = started.token_file
    token = f"${TOKEN}" if file is None else f"$(cat {shlex.quote(str(file))})"
    return f'{text} -H "Authorization: Bearer {token}"'


def _tell_end(images: int) -> None:
    waiting = f"finishing {images} that were accepted; Ctrl-C again ends at once"
    messages.print(f"stopping: {waiting}" if images else "stopping")
