"""``lookwider predict``: segment image files."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from lookwider.cli.console import messages, out
from lookwider.cli.protocol import parse_protocol
from lookwider.inference.compiled import for_inference, named_dtype
from lookwider.inference.device import choose_device
from lookwider.inference.multiscale import check_protocol
from lookwider.inference.predictor import PredictionReport, find_images, predict_files
from lookwider.inference.progress import printable
from lookwider.weights.checkpoint import load

INTERRUPTED = 130
"""Exit code of a command stopped with Ctrl-C, by the shells' custom."""


def predict(
    run: Annotated[Path, typer.Argument(help="A run folder or a checkpoint.", show_default=False)],
    inputs: Annotated[
        list[Path], typer.Argument(help="Images, and folders of images.", show_default=False)
    ],
    out_folder: Annotated[
        Path, typer.Option("--out", help="Folder of the results.", show_default=False)
    ],
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Also write NAME_probabilities.npz.")
    ] = False,
    protocol: Annotated[str, typer.Option(help="whole, pspnet or semseg.")] = "whole",
    scales: Annotated[
        str | None, typer.Option(help="Scales to average over, e.g. 0.5,1,1.5.")
    ] = None,
    flip: Annotated[
        bool | None, typer.Option("--flip/--no-flip", help="Average with the mirror image.")
    ] = None,
    crop_size: Annotated[
        str | None, typer.Option(help="Size of sliding windows: 473, or height,width; or none.")
    ] = None,
    base_size: Annotated[
        str | None, typer.Option(help="Longer side at scale 1, e.g. 512; none: the image's own.")
    ] = None,
    stride_rate: Annotated[
        str | None, typer.Option(help="From window to window, as a share of the window.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Windows that go through at once.")] = 1,
    shift_and_stitch: Annotated[
        int, typer.Option(min=1, help="Score so many times denser, at its square in time.")
    ] = 1,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Leave out what is there already.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Threads that read ahead.")] = 2,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    dtype: Annotated[
        str, typer.Option(help="float32, bfloat16, or auto: bfloat16 where it is faster.")
    ] = "float32",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Segment images: a label map with palette and an overlay each, names and sub-folders kept.

    Example: lookwider predict runs/a photos --out predictions
    """
    words = {"scales": scales, "crop_size": crop_size, "base_size": base_size}
    mirror = None if flip is None else str(flip)
    chosen = parse_protocol(
        {"protocol": protocol, "flip": mirror, "stride_rate": stride_rate, **words}
    )
    images = find_images(inputs, exclude=out_folder)
    precision = named_dtype(dtype)
    model = for_inference(load(run, device=choose_device(device)), precision)
    check_protocol(model, chosen, shift_and_stitch)
    model.check_shift_and_stitch(shift_and_stitch)
    report = PredictionReport(len(images))
    started = time.perf_counter()
    interrupted = False
    try:
        predict_files(
            model,
            images,
            out_folder,
            protocol=chosen,
            probabilities=probabilities,
            shift_and_stitch=shift_and_stitch,
            batch_size=batch_size,
            skip_existing=skip_existing,
            workers=workers,
            console=messages,
            show=not as_json,
            report=report,
        )
    except KeyboardInterrupt:
        interrupted = True
    seconds = time.perf_counter() - started
    if as_json:
        out.print(json.dumps(_as_json(report, out_folder, seconds, interrupted)), markup=False)
    else:
        _show(report, out_folder, seconds, interrupted)
    if interrupted:
        raise typer.Exit(INTERRUPTED)
    if report.failed:
        raise typer.Exit(1)


def _as_json(
    report: PredictionReport, folder: Path, seconds: float, interrupted: bool
) -> dict[str, object]:
    return {
        "images": report.images,
        "written": report.written,
        "skipped": report.skipped,
        "failed": [{"path": str(f.path), "reason": f.reason} for f in report.failed],
        "out": str(folder),
        "seconds": seconds,
        "interrupted": interrupted,
    }


def _show(report: PredictionReport, folder: Path, seconds: float, interrupted: bool) -> None:
    if report.failed:
        messages.print("not segmented:")
        for failure in report.failed:
            reason = failure.reason.removeprefix(f"{failure.path}: ")
            messages.print(f"  {printable(str(failure.path))}: {printable(reason)}", markup=False)
    parts = [f"{len(report.written)} of {report.images} images segmented in {seconds:.1f} s"]
    if report.skipped:
        parts.append(f"{len(report.skipped)} were there already")
    if report.failed:
        parts.append(f"{len(report.failed)} failed")
    messages.print(", ".join(parts))
    if interrupted:
        messages.print("stopped; every file written is whole. Go on with: --skip-existing")
    if report.written:
        first = report.written[0]
        messages.print(
            f"next: look at {printable(str(folder / first))}_overlay.jpg; class ids are in "
            f"{printable(str(folder / first))}.png",
            markup=False,
        )
