"""``lookwider convert``: another project's trained network as a checkpoint."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from lookwider.cli.console import messages, out

if TYPE_CHECKING:
    from lookwider.weights.convert import Conversion

BUILT_FROM_DATA = frozenset({"name", "num_classes", "extra_classes", "in_channels", "aux"})
"""Keywords of an architecture that a training run takes from its data or has by itself."""


def convert(
    file: Annotated[
        Path, typer.Argument(help="A .caffemodel, .pth or .safetensors file.", show_default=False)
    ],
    out_folder: Annotated[
        Path, typer.Option("--out", help="Folder of the checkpoint.", show_default=False)
    ],
    net: Annotated[
        str | None, typer.Option(help="Which network it is, where the file fits several.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Turn a released FCN, ParseNet or PSPNet into a checkpoint; recognised by its layers.

    Example: lookwider convert fcn8s-heavy-pascal.caffemodel --out models/fcn8s
    """
    from lookwider.inference.progress import printable
    from lookwider.weights.convert import convert as run_conversion

    with messages.status("", spinner="line") as status:

        def tell(step: str) -> None:
            status.update(escape(printable(f"{file.name}: {step}")))

        result = run_conversion(file, out_folder, net=net, tell=tell)
    if as_json:
        out.print(json.dumps(result.to_json() | {"next": next_commands(result)}), markup=False)
    else:
        _show(result)


def next_commands(result: Conversion) -> list[str]:
    """Return the commands that are useful now."""
    folder = shlex.quote(str(result.folder))
    architecture = result.architecture
    settings = [
        f"{name}={_setting(value)}"
        for name, value in architecture.items()
        if name not in BUILT_FROM_DATA
    ]
    train = ["lookwider", "train", architecture["name"], "data=PATH", *map(shlex.quote, settings)]
    begin = " ".join([*train, f"init_from={folder}", "out=runs/a"])
    if result.net.is_trunk:
        return [begin]
    return [
        f"lookwider predict {folder} photos --out predictions",
        f"lookwider evaluate {folder} data=PATH",
        begin,
    ]


def _setting(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value).lower()


def _show(result: Conversion) -> None:
    from lookwider.inference.progress import printable

    net = result.net
    heads = [
        f"{len(net.classes)} classes",
        *(f"{len(c)} {h}" for h, c in net.extra_classes.items()),
    ]
    known = "" if net.is_trunk else f": {', '.join(heads)}"
    out.print(f"recognised: {net.name}{known} ({net.layout.what})", markup=False)
    numbers = f"{result.parameters:,} parameters"
    if upsampling := result.architecture.get("upsampling"):
        numbers += f", {upsampling} upsampling"
    out.print(numbers, markup=False)
    if net.is_trunk:
        out.print("a trunk to begin training from: its scores are not trained")
    elif net.classes.names[0] == "class 0":
        out.print("no known data set has so many classes: they are numbered")
    out.print(printable(f"written: {result.folder}"), markup=False)
    for position, command in enumerate(next_commands(result)):
        word = "  or" if position else "next"
        out.print(printable(f"{word}: {command}"), markup=False)
