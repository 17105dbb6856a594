"""``lookwider export``: a network as a file for another runtime, with its parity certificate."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer
from rich.markup import escape

from lookwider.cli.completion import complete_run
from lookwider.cli.console import messages, out
from lookwider.errors import ConfigError

if TYPE_CHECKING:
    from lookwider.export import Certificate, DType, Format


def export(
    run: Annotated[
        Path,
        typer.Argument(
            help="A run folder or a checkpoint.", autocompletion=complete_run, show_default=False
        ),
    ],
    file_format: Annotated[
        str, typer.Option("--format", help="onnx, torch, torchscript or openvino.")
    ] = "onnx",
    dynamic: Annotated[
        bool, typer.Option("--dynamic/--fixed", help="Any batch and size, or 1 image of --size.")
    ] = True,
    size: Annotated[str | None, typer.Option(help="HEIGHTxWIDTH of a --fixed file.")] = None,
    labels: Annotated[
        bool, typer.Option("--labels", help="Labels out (uint8), instead of logits.")
    ] = False,
    preprocess: Annotated[
        bool, typer.Option("--preprocess", help="RGB bytes in, normalised in the file.")
    ] = False,
    dtype: Annotated[str, typer.Option(help="float32, bfloat16 or int8.")] = "float32",
    calibration: Annotated[
        Path | None, typer.Option(help="Folder of images that int8 is calibrated on.")
    ] = None,
    evaluate: Annotated[
        str | None, typer.Option(help="Labelled images to measure the loss of mean IoU on.")
    ] = None,
    split: Annotated[str, typer.Option(help="Their split.")] = "test",
    out_file: Annotated[
        Path | None, typer.Option("--out", help="The file.", show_default="RUN's name, here")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Write a network for ONNX Runtime, PyTorch or OpenVINO, if it computes the same there.

    The file is compared with PyTorch at ten sizes before it is put in its place; the certificate
    lies beside it.

    Example: lookwider export runs/a --format onnx --labels
    """
    from lookwider.export import ParityError
    from lookwider.export import export as run_export
    from lookwider.inference.labelled import labelled_images
    from lookwider.inference.progress import printable
    from lookwider.weights.checkpoint import checkpoint_folder, load

    checkpoint = checkpoint_folder(run)
    target = out_file or Path(_name(run, checkpoint))
    dataset = None
    if evaluate is not None:
        dataset = labelled_images(evaluate, split, "auto", "data", checkpoint)
    with messages.status("reading the checkpoint", spinner="line") as status:
        try:
            certificate = run_export(
                load(checkpoint),
                target,
                format=cast("Format", file_format),
                dynamic=dynamic,
                size=None if size is None else _height_and_width(size),
                labels=labels,
                preprocess=preprocess,
                dtype=cast("DType", dtype),
                calibration=calibration,
                evaluate=dataset,
                force=force,
                tell=lambda step: status.update(escape(printable(step))),
            )
        except ParityError as error:
            messages.print(error.certificate.table())
            raise
    if as_json:
        out.print(json.dumps(certificate.to_json()), markup=False)
    else:
        _show(certificate, target)


def _name(run: Path, checkpoint: Path) -> str:
    """Return what a run's file is called: as the run, not as its ``best`` checkpoint.

    Example:
        >>> _name(Path("runs/a/best"), Path("runs/a/best"))
        'a'
    """
    found = run.resolve() if str(run) in {".", ".."} else run
    return checkpoint.parent.name if found.name in {"best", "last"} else found.name


def _height_and_width(text: str) -> tuple[int, int]:
    height, _, width = text.lower().partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise ConfigError(f"got --size {text}, expected HEIGHTxWIDTH, e.g. 480x640")
    return int(height), int(width)


def _show(certificate: Certificate, target: Path) -> None:
    from lookwider.inference.progress import printable

    out.print(certificate.table())
    worst = certificate.worst
    difference = "" if worst is None else f"worst difference {worst:.1e} of the largest logit, "
    out.print(f"{difference}{100 * certificate.agreement:.4g} % of the labels the same")
    if (loss := certificate.loss) is not None:
        numbers = [100 * value for value in (loss.pytorch, loss.exported)]
        out.print(
            f"mean IoU on {loss.images} images: PyTorch {numbers[0]:.2f}, "
            f"exported {numbers[1]:.2f} ({numbers[1] - numbers[0]:+.2f})"
        )
    for note in certificate.notes:
        out.print(f"note: {note}", markup=False)
    folder = target.parent
    files = ", ".join(str(folder / name) for name in certificate.files)
    messages.print(printable(f"written: {files}, with its certificate"), markup=False)
    messages.print(f"next: {_next(certificate, folder)}", markup=False)


def _next(certificate: Certificate, folder: Path) -> str:
    """Return a command that opens the file where it will be used."""
    name = shlex.quote(str(folder / next(f for f in certificate.files if not f.endswith(".bin"))))
    opened = {
        "onnx": "import onnxruntime, sys; "
        "print([i.shape for i in onnxruntime.InferenceSession(sys.argv[1]).get_inputs()])",
        "openvino": "import openvino, sys; print(openvino.Core().read_model(sys.argv[1]))",
        "torch": "import torch, sys; print(torch.export.load(sys.argv[1]).range_constraints)",
        "torchscript": "import torch, sys; print(torch.jit.load(sys.argv[1]).original_name)",
    }
    return f'python -c "{opened[certificate.options.format]}" {name}'
