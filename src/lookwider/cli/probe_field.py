"""``lookwider probe field``: how much of an image one place of a layer sees."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from lookwider.cli.completion import complete_run
from lookwider.cli.console import messages, out
from lookwider.cli.probing import SCENE, DataSettings, named_image, probe_folder
from lookwider.cli.settings import split_words
from lookwider.errors import ConfigError, check_choice, unknown_name

if TYPE_CHECKING:
    from lookwider.models.segmenter import ImageLike
    from lookwider.probes.fields import FieldReport, MeasuredField, TheoreticalField
    from lookwider.probes.network import Network

METHODS = ("theoretical", "empirical", "gradient")
FIRST = 8
"""Images of a data set that are probed unless told otherwise."""

Size = tuple[int, int]


def field(
    model: Annotated[
        str,
        typer.Argument(
            help="A run folder or checkpoint; package.module:function for a module of your own; "
            "or the name of a model, for theoretical fields.",
            autocompletion=complete_run,
            show_default=False,
        ),
    ],
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[IMAGE]... | [data=PATH [KEY=VALUE]...]",
            help="Images and folders of images, which are averaged; built-in test scenes, as "
            "scene:INDEX,kind=road,size=96x128,seed=0; or data=PATH and: split=test limit=N "
            "layout=auto (the first 8 images unless limit says otherwise). Without images: "
            "theoretical fields, at --size.",
            show_default=False,
        ),
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="Pixel ROW,COL; the image's middle when not given.")
    ] = None,
    layer: Annotated[str, typer.Option(help="Name of a layer; the end is enough.")] = "scores",
    method: Annotated[
        str | None, typer.Option(help=f"Some of {','.join(METHODS)}; all when not given.")
    ] = None,
    window: Annotated[
        int | None, typer.Option(help="Side of the noise in pixels; 11/227 of the image's.")
    ] = None,
    stride: Annotated[
        int | None, typer.Option(help="Pixels between windows; 3/11 of the window.")
    ] = None,
    draws: Annotated[int, typer.Option(help="Draws of noise per window.")] = 2,
    threshold: Annotated[
        float, typer.Option(help="Share of the largest discrepancy that the region exceeds.")
    ] = 0.1,
    units: Annotated[
        str | None,
        typer.Option(help="8: the 8 strongest channels; 3,17 or car,boat: these; 5,: only 5."),
    ] = None,
    every: Annotated[
        bool, typer.Option("--every", help="Measure every window, not only near the border.")
    ] = False,
    size: Annotated[
        str | None, typer.Option(help="HEIGHTxWIDTH where there is no image.", show_default=False)
    ] = None,
    list_layers: Annotated[
        bool, typer.Option("--list", help="List all layers with their theoretical fields.")
    ] = False,
    folder: Annotated[
        Path | None, typer.Option("--out", help="Folder of the results.", show_default=False)
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Windows in one pass.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Of the noise.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Measure how much of an image one place of a layer sees: in theory, and really.

    Example: lookwider probe field runs/a street.png --at 120,200 --layer fc7
    """
    # the drawing takes a second to import
    from lookwider.inference.device import choose_device
    from lookwider.inference.memory import memory_advice
    from lookwider.inference.progress import ImageProgress
    from lookwider.probes.fields import (
        FieldReport,
        empirical_field,
        gradient_field,
        layers_content,
        layers_table,
    )
    from lookwider.probes.opening import open_network

    network = open_network(model, choose_device(device))
    images = _images(network, words or [])
    sizes = [_size_of(image) for _, image in images] or [_given_size(size)]
    if list_layers:
        if as_json:
            out.print(json.dumps(layers_content(network, sizes[0])), markup=False)
        else:
            out.print(layers_table(network, sizes[0]))
        return
    methods = _methods(method, bool(images))
    places = [_place(at, each) for each in sizes]
    theoretical = [
        _theoretical(network, layer, place, each, name)
        for place, each, name in zip(places, sizes, [n for n, _ in images] or [""], strict=True)
    ]
    chosen = _units(units, network, theoretical[0].layer)
    measured: dict[str, list[MeasuredField]] = {m: [] for m in methods if m != "theoretical"}
    with ImageProgress("probing", len(images), messages, show=not as_json) as progress:
        for (name, image), place in zip(images, places, strict=False):
            with memory_advice(name):
                if "empirical" in measured:
                    found = empirical_field(
                        network, image, place, layer,
                        window=window, stride=stride, draws=draws, threshold=threshold,
                        units=chosen, refine=not every, batch_size=batch_size, seed=seed,
                        on_progress=progress.windows_of(name),
                    )  # fmt: skip
                    measured["empirical"].append(found)
                if "gradient" in measured:
                    measured["gradient"].append(
                        gradient_field(network, image, place, layer, units=chosen)
                    )
            progress.advance()
    if known := [one.theoretical for one in measured.get("empirical", [])]:
        theoretical = known  # the whole image where more than the traced field matters
    report = FieldReport(
        network=network.name,
        names=tuple(name for name, _ in images) or ("no image",),
        theoretical=tuple(theoretical),
        measured={name: tuple(fields) for name, fields in measured.items()},
    )
    paths = report.save(folder or probe_folder(model, f"field/{report.layer}"))
    if as_json:
        out.print(json.dumps(report.to_json()), markup=False)
    else:
        _show(report, paths)
        messages.print(f"next: {escape(_next(network, model, report.layer, bool(images)))}")


def _next(network: Network, model: str, layer: str, measured: bool) -> str:
    """Return the command that goes on: the context where there is one."""
    from lookwider.context import NoContext

    segmenter = network.segmenter
    if not measured:
        return f"lookwider probe field {model} IMAGE --layer {layer}"
    if segmenter is not None and isinstance(segmenter.context, NoContext):
        return f"lookwider probe scales {model} IMAGE"
    layer_of_context = " --layer LAYER" if segmenter is None else ""
    return f"lookwider probe context {model} IMAGE --swap OTHER_IMAGE{layer_of_context}"


def _show(report: FieldReport, paths: Sequence[Path]) -> None:
    first = report.theoretical[0]
    where = f"pixel {first.at[0]},{first.at[1]} (cell {first.cell[0]},{first.cell[1]})"
    out.print(report.table(f"{report.network}, layer {report.layer}, {where}"))
    for line in report.areas():
        out.print(line, markup=False)
    out.print(f"theoretical field by the law: {report.law()}", markup=False)
    top, left, bottom, right = first.box
    size = f"{first.size[0]} x {first.size[1]}"
    out.print(
        f"inside the image of {size}: rows {top}..{bottom - 1}, columns {left}..{right - 1}",
        markup=False,
    )
    shown = [str(path) for path in paths if path.suffix != ".npz"]
    maps = len(paths) - len(shown)
    more = f", and {maps} maps (.npz)" if maps else ""
    if not all(one.settings["traced"] for one in report.measured.get("empirical", ())):
        messages.print(
            "note: noise outside the traced theoretical field changed the place, so some layer "
            "mixes places in a way that is not followed; the whole image was measured"
        )
    messages.print("written: " + escape(", ".join(shown)) + more)


def _images(network: Network, words: Sequence[str]) -> list[tuple[str, ImageLike]]:
    """Return the images that words mean, with their names."""
    from lookwider.inference.predictor import find_images
    from lookwider.models.segmenter import image_array

    given, values = split_words(words, SCENE)
    if given and values:
        raise ConfigError("got images and settings; give images, or data=PATH ...")
    if values:
        settings = DataSettings.parse(values)
        data = settings.open(network)
        samples = [data[i] for i in range(min(len(data), settings.limit or FIRST))]
        return [(sample.name, sample.image) for sample in samples]
    found: list[tuple[str, ImageLike]] = []
    for word in given:
        if word.startswith(SCENE):
            found.append(named_image(word))
        else:
            found += [(file.name, file.path) for file in find_images([word])]
    return [(name, image_array(image)) for name, image in found]


def _theoretical(
    network: Network, layer: str, place: Size, size: Size, name: str
) -> TheoreticalField:
    """Return an image's theoretical field; what is wrong is told with the image's name."""
    from lookwider.inference.memory import memory_advice
    from lookwider.probes.fields import theoretical_field

    with memory_advice(name or network.name):
        try:
            return theoretical_field(network, layer, place, size)
        except ConfigError as error:
            raise ConfigError(f"{name}: {error}" if name else str(error)) from error


def _size_of(image: ImageLike) -> Size:
    from lookwider.models.segmenter import image_array

    height, width = image_array(image).shape[:2]
    return int(height), int(width)


def _given_size(text: str | None) -> Size:
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text or "")
    if match is None or 0 in (values := (int(match[1]), int(match[2]))):
        got = "no image and no size" if text is None else f"--size {text!r}"
        raise ConfigError(f"got {got}, expected IMAGE, or --size HEIGHTxWIDTH such as 480x640")
    return values


def _place(text: str | None, size: Size) -> tuple[int, int]:
    if text is None:
        return size[0] // 2, size[1] // 2
    match = re.fullmatch(r"(-?\d{1,6}),(-?\d{1,6})", text.replace(" ", ""))
    if match is None:
        raise ConfigError(f"got --at {text!r}, expected ROW,COL such as 120,200")
    return int(match[1]), int(match[2])


def _methods(text: str | None, images: bool) -> list[str]:
    names = list(METHODS) if text is None else [name.strip() for name in text.split(",")]
    for name in names:
        check_choice("method", name, METHODS)
    if not images:
        if text is not None and names != ["theoretical"]:
            raise ConfigError(f"--method {text} needs an image; give one, or --method theoretical")
        return ["theoretical"]
    return names


def _units(text: str | None, network: Network, layer: str) -> int | list[int] | None:
    """Return the units that a text means; names are those of classes."""
    if text is None:
        return None
    if text.strip().isdecimal():
        return int(text)
    names = network.classes.names if network.classes is not None and layer == "scores" else ()
    units = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        if word.isdecimal():
            units.append(int(word))
        elif word in names:
            units.append(names.index(word))
        elif names:
            raise ConfigError(unknown_name("class", word, names))
        else:
            raise ConfigError(f"got unit {word!r}, expected numbers of channels, such as 3,17")
    return units
