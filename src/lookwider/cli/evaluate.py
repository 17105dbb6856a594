"""``lookwider evaluate``: measure a run on labelled images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from pydantic import Field
from rich.markup import escape

from lookwider.cli.completion import complete_data, complete_run
from lookwider.cli.console import messages, out
from lookwider.cli.protocol import PROTOCOL_SETTINGS, parse_protocol
from lookwider.cli.settings import Settings, parse_settings

if TYPE_CHECKING:
    from lookwider.evaluation import Evaluation


class EvaluateSettings(Settings):
    """The ``key=value`` settings of ``lookwider evaluate``, but for those of the protocol."""

    data: str
    split: str = "test"
    layout: str = "auto"
    class_map: Literal["data", "model"] = "data"
    batch_size: int = Field(1, ge=1)
    workers: int = Field(2, ge=1)
    worst: int = Field(4, ge=0)
    convention: Literal["fcn", "parsenet", "pspnet"] = "fcn"
    out: Path | None = None


def evaluate(
    run: Annotated[
        Path,
        typer.Argument(
            help="A run folder, a checkpoint, or hf://OWNER/NAME.",
            autocompletion=complete_run,
            show_default=False,
        ),
    ],
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            help="data=PATH, and: split=test layout=auto class_map=data|model batch_size=1 "
            "workers=2 worst=4 convention=fcn|parsenet|pspnet out=DIR; what is done to an image: "
            "protocol=whole|pspnet|semseg scales=0.5,1,1.5 flip=true crop_size=473 base_size=512 "
            "stride_rate=0.667",
            autocompletion=complete_data,
            show_default=False,
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    dtype: Annotated[
        str, typer.Option(help="float32, bfloat16, or auto: bfloat16 where it is faster.")
    ] = "float32",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Measure a run: a table, JSON, the confusion of classes, and the worst images.

    Example: lookwider evaluate runs/a data=camvid split=test
    """
    # Brings matplotlib, which is slow to import and which other commands do not need.
    from lookwider.evaluation import evaluate as run_evaluation
    from lookwider.inference.compiled import for_inference, named_dtype
    from lookwider.inference.device import choose_device
    from lookwider.inference.labelled import labelled_images
    from lookwider.weights.checkpoint import checkpoint_folder, load
    from lookwider.weights.description import WEIGHTS, describe

    values = parse_settings(settings or [])
    inference = parse_protocol({key: values.pop(key, None) for key in PROTOCOL_SETTINGS})
    chosen = EvaluateSettings.parse(values, PROTOCOL_SETTINGS)
    where, precision = choose_device(device), named_dtype(dtype)
    checkpoint = checkpoint_folder(run)
    description = describe(checkpoint)
    model = for_inference(load(checkpoint, device=where), precision)
    dataset = labelled_images(
        chosen.data, chosen.split, chosen.layout, chosen.class_map, checkpoint
    )
    result = run_evaluation(
        model,
        dataset,
        inference=inference,
        batch_size=chosen.batch_size,
        workers=chosen.workers,
        worst=chosen.worst,
        convention=chosen.convention,
        console=messages,
        show=not as_json,
        protocol={
            "data": chosen.data,
            "split": chosen.split,
            "layout": chosen.layout,
            "class_map": chosen.class_map,
            "checkpoint": str(checkpoint),
            "sha256": description.sha256[WEIGHTS],
            "alignment": description.alignment,
            "training": description.protocol,
            "versions": description.versions,
        },
    )
    folder = chosen.out or evaluation_folder(checkpoint, chosen.split)
    files = result.save(folder)
    if as_json:
        out.print(json.dumps(result.to_json()), markup=False)
    else:
        _show(result, f"{run} on {chosen.data}, {chosen.split}", run, files)


def evaluation_folder(checkpoint: Path, split: str) -> Path:
    """Return where the results of a checkpoint go: beside it, for it holds nothing else.

    Example:
        >>> evaluation_folder(Path("runs/a/best"), "test").as_posix()
        'runs/a/evaluation/test'
    """
    from lookwider.weights.places import results_folder

    return results_folder(checkpoint, "evaluation") / split


def _show(result: Evaluation, title: str, run: Path, files: Sequence[Path]) -> None:
    out.print(result.scores.table(title))
    for head, scores in result.extra.items():
        out.print(scores.table(f"{title}, head {head}"))
    out.print(result.scores.summary(), markup=False)
    out.print(f"images: {result.protocol['images']}", markup=False)
    rate = f"{result.images_per_second:.1f} images/s"
    messages.print(f"{len(result.images)} images in {result.seconds:.1f} s ({rate})")
    messages.print("written: " + escape(", ".join(str(path) for path in files)))
    messages.print(f"next: lookwider predict {escape(str(run))} FILES_OR_FOLDER --out DIR")
