"""``lookwider bench``: how fast this installation is."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from lookwider.cli.completion import complete_run
from lookwider.cli.console import messages, out
from lookwider.cli.demo import parse_size
from lookwider.errors import check_choice

if TYPE_CHECKING:
    from lookwider.bench import BenchResult

SIZE = "96x128"
"""As the demo's scenes."""

LARGER = "lookwider bench pspnet --size 473x473 --classes 150 --rounds 3"


def bench(
    network: Annotated[
        str | None,
        typer.Argument(
            help="A run folder, or a model's name; the demo's PSPNet if none.",
            autocompletion=complete_run,
        ),
    ] = None,
    size: Annotated[str, typer.Option(help="HEIGHTxWIDTH of the images.")] = SIZE,
    backbone: Annotated[str | None, typer.Option(help="Trunk of a model by name.")] = None,
    classes: Annotated[
        int | None, typer.Option(min=1, help="Classes of a model by name; 21.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Images at once.")] = 1,
    dtype: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    rounds: Annotated[int, typer.Option(min=1, help="Times that everything is measured.")] = 10,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of PyTorch.")] = None,
    training: Annotated[
        bool, typer.Option("--training", help="Also measure the loss and its gradients.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    folder: Annotated[
        Path | None, typer.Option("--out", help="Folder for bench.json and bench.png.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Measure this installation: every stage from image to labels, beside plain PyTorch.

    Takes seconds and needs no files. Example: lookwider bench runs/first --size 480x640
    """
    # the drawing takes a second to import
    from lookwider.bench import bench as measure
    from lookwider.bench.forms import fast_dtype
    from lookwider.bench.network import network_to_measure
    from lookwider.bench.writing import write_result
    from lookwider.inference.device import choose_device

    check_choice("--dtype", dtype, DTYPES)
    chosen_size = parse_size(size)
    with telling() as tell:
        tell("building the network")
        where = choose_device(device)
        model = network_to_measure(network, backbone=backbone, num_classes=classes, device=where)
        result = measure(
            model,
            size=chosen_size,
            batch=batch,
            dtype=fast_dtype(dtype, where),
            rounds=rounds,
            threads=threads,
            training=training,
            tell=tell,
        )
    files = write_result(result, folder) if folder is not None else []
    if as_json:
        out.print(json.dumps(result.to_json()), markup=False)
    else:
        _show(result, files, _next(network, training=training))


DTYPES = ("auto", "float32", "bfloat16")

LINE_SECONDS = 15.0
"""Between two lines where there is no terminal to draw on."""


@contextmanager
def telling() -> Iterator[Callable[[str], None]]:
    """Yield what tells how far it is: in one line of a terminal, now and then a line elsewhere."""
    last = -LINE_SECONDS
    with messages.status("") as status:

        def tell(text: str) -> None:
            nonlocal last
            now = time.monotonic()
            status.update(escape(text))
            if not messages.is_terminal and now - last >= LINE_SECONDS:
                last = now
                messages.print(text, markup=False)

        yield tell


def _show(result: BenchResult, files: list[Path], further: str) -> None:
    out.print(result.table())
    for line in result.summary():
        out.print(line, markup=False)
    if files:
        messages.print("written: " + escape(", ".join(str(path) for path in files)))
    messages.print(f"next: {further}", markup=False)


def _next(network: str | None, *, training: bool) -> str:
    """Return the command to try next."""
    if network is None:
        return f"a network of the papers' size, some minutes: {LARGER}"
    if Path(network).is_dir():
        return f"lookwider predict {shlex.quote(network)} FILES_OR_FOLDER --out DIR"
    if training:
        return f"lookwider train {network} data=PATH out=runs/first"
    return f"lookwider bench {network} --training"
