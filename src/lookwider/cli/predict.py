"""``lookwider predict``: segment image files."""

from __future__ import annotations

import dataclasses
import functools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lookwider.cli.bulk import check_one_process, images_of
from lookwider.cli.completion import complete_run
from lookwider.cli.console import messages, out
from lookwider.cli.large import in_words, parse_tiling
from lookwider.cli.protocol import parse_protocol

if TYPE_CHECKING:
    from lookwider.inference.predictor import PredictionReport

INTERRUPTED = 130
"""Exit code of a command stopped with Ctrl-C, by the shells' custom."""


def predict(
    run: Annotated[
        Path,
        typer.Argument(
            help="A run folder, a checkpoint, or hf://OWNER/NAME.",
            autocompletion=complete_run,
            show_default=False,
        ),
    ],
    inputs: Annotated[
        list[str], typer.Argument(help="Images, and folders of images.", show_default=False)
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
    batch_size: Annotated[
        int, typer.Option(min=1, help="Images or windows that go through at once.")
    ] = 1,
    shift_and_stitch: Annotated[
        int, typer.Option(min=1, help="Score so many times denser, at its square in time.")
    ] = 1,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Leave out what is there already.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes, with a manifest of what became of each image."),
    ] = None,
    engine: Annotated[str, typer.Option(help="Of the workers: local, or ray.")] = "local",
    address: Annotated[
        str | None, typer.Option(help="Of a Ray cluster; none: one is started here.")
    ] = None,
    readers: Annotated[int, typer.Option(min=1, help="Threads that read ahead.")] = 2,
    max_memory: Annotated[
        str | None,
        typer.Option(help="E.g. 2GB, of all workers: what needs more goes in tiles, exactly."),
    ] = None,
    tile: Annotated[
        int | None, typer.Option(min=1, help="Side of the tiles of larger images, in pixels.")
    ] = None,
    halo: Annotated[
        int | None, typer.Option(min=0, help="Pixels read around a tile; none: all that matter.")
    ] = None,
    own_context: Annotated[
        bool, typer.Option("--own-context", help="Tiles keep their own context, for comparison.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    dtype: Annotated[
        str, typer.Option(help="float32, bfloat16, or auto: bfloat16 where it is faster.")
    ] = "float32",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Segment images: a label map with palette and an overlay each, names and sub-folders kept.

    Example: lookwider predict runs/a photos --out predictions
    """
    from lookwider.inference.bulk import BulkJob, predict_bulk, predict_spread
    from lookwider.inference.compiled import for_inference, named_dtype
    from lookwider.inference.device import choose_device
    from lookwider.inference.multiscale import check_protocol
    from lookwider.inference.predictor import PredictionReport, find_images, predict_files
    from lookwider.weights.checkpoint import load

    words = {"scales": scales, "crop_size": crop_size, "base_size": base_size}
    mirror = None if flip is None else str(flip)
    chosen = parse_protocol(
        {"protocol": protocol, "flip": mirror, "stride_rate": stride_rate, **words}
    )
    tiling = parse_tiling(max_memory, tile, halo, own_context)
    work: Callable[..., PredictionReport]
    if workers is None and engine == "local":
        check_one_process(inputs, address)
        files = find_images(inputs, exclude=out_folder)
        model = for_inference(load(run, device=choose_device(device)), named_dtype(dtype))
        check_protocol(model, chosen, shift_and_stitch)
        model.check_shift_and_stitch(shift_and_stitch)
        report, go_on = PredictionReport(len(files)), "--skip-existing"
        work = functools.partial(
            predict_files,
            model,
            files,
            out_folder,
            protocol=chosen,
            probabilities=probabilities,
            shift_and_stitch=shift_and_stitch,
            batch_size=batch_size,
            readers=readers,
            tiling=tiling,
        )
    else:
        images = images_of(inputs, out_folder)
        job = BulkJob(
            run,
            out_folder,
            chosen,
            probabilities=probabilities,
            shift_and_stitch=shift_and_stitch,
            batch_size=batch_size,
            device=device,
            dtype=dtype,
            readers=readers,
        )
        report, go_on = PredictionReport(len(images)), "the same command"
        segment: Callable[..., PredictionReport] = predict_bulk
        if tiling is not None:
            segment, go_on = functools.partial(predict_spread, tiling=tiling), "--skip-existing"
        work = functools.partial(
            segment, job, images, workers=workers or 1, engine=engine, address=address
        )
    started = time.perf_counter()
    interrupted = False
    try:
        work(skip_existing=skip_existing, console=messages, show=not as_json, report=report)
    except KeyboardInterrupt:
        interrupted = True
    seconds = time.perf_counter() - started
    if as_json:
        out.print(json.dumps(_as_json(report, out_folder, seconds, interrupted)), markup=False)
    else:
        _show(report, out_folder, seconds, go_on if interrupted else None)
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
        "tiled": [dataclasses.asdict(large) for large in report.tiled],
        "out": str(folder),
        "manifest": None if report.manifest is None else str(report.manifest),
        "seconds": seconds,
        "interrupted": interrupted,
    }


def _show(report: PredictionReport, folder: Path, seconds: float, go_on: str | None) -> None:
    from lookwider.inference.progress import printable

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
    for large in report.tiled:
        messages.print(printable(in_words(large)), markup=False)
    if go_on is not None:
        messages.print(f"stopped; every file written is whole. Go on with: {go_on}")
    if report.manifest is not None:
        what = "what became of each image"
        messages.print(f"{what}: {printable(str(report.manifest))}", markup=False)
    if report.written:
        first = report.written[0]
        suffix = ".tif" if any(large.name == first for large in report.tiled) else ".png"
        messages.print(
            f"next: look at {printable(str(folder / first))}_overlay.jpg; class ids are in "
            f"{printable(str(folder / first))}{suffix}",
            markup=False,
        )
