"""``lookwider probe context``: replace what a network's context holds, and see what changes."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer
from pydantic import Field
from rich.markup import escape

from lookwider.cli.completion import complete_run
from lookwider.cli.console import messages, out
from lookwider.cli.probing import SCENE, DataSettings, named_image, probe_folder
from lookwider.cli.settings import split_words
from lookwider.errors import ConfigError

if TYPE_CHECKING:
    from lookwider.probes.network import Network
    from lookwider.probes.swap import ContextReliance, ContextSwap, Replacement

SWAPS = "another IMAGE, mean (with --mean-of), zeros, or region:BINS,INDEX"


class RelianceSettings(DataSettings):
    """The ``key=value`` settings of a reliance measured over many images."""

    replacements: str = "other,mean,zeros"
    seed: int = Field(0, ge=0)


def context(
    model: Annotated[
        str,
        typer.Argument(
            help="A run folder or checkpoint; or package.module:function for a module of your own.",
            autocompletion=complete_run,
            show_default=False,
        ),
    ],
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE | data=PATH [KEY=VALUE]...",
            help="An image whose context is replaced: a file, or a built-in test scene, as "
            "scene:INDEX,kind=road,size=96x128,seed=0. Or, to measure how much each class relies "
            "on context, data=PATH and: split=test limit=N replacements=other,mean,zeros seed=0 "
            "layout=auto class_map=data|model",
            show_default=False,
        ),
    ],
    swap: Annotated[
        str | None, typer.Option(help=f"What stands in: {SWAPS}.", show_default=False)
    ] = None,
    mean_of: Annotated[
        Path | None, typer.Option(help="Images of --swap mean: a folder.", show_default=False)
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(help="Replace this layer's output, of any module.", show_default=False),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--out", help="Folder of the results.", show_default=False)
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Replace a network's context by another image's, a mean, zeros or one region's.

    Of one image: which pixels change, to what, and by how much. Of a data set: how much each
    class relies on context.

    Example: lookwider probe context runs/a street.png --swap lake.png
    """
    # the drawing takes a second to import
    from lookwider.inference.device import choose_device
    from lookwider.probes.opening import open_network
    from lookwider.probes.swap import swap_context, swap_layer

    images, values = split_words(words, SCENE)
    _check(images, values, swap, mean_of)
    settings = RelianceSettings.parse(values) if values else None
    network = open_network(model, choose_device(device))
    if settings is not None:
        reliance = _reliance(network, settings, layer, show=not as_json)
        paths = reliance.save(folder or probe_folder(model, "context"))
        _tell(reliance, reliance.to_json(), reliance.summary(), paths, as_json)
        if not as_json:
            messages.print(f"  lookwider probe context {escape(model)} IMAGE --swap OTHER_IMAGE")
        return
    name, image = named_image(images[0])
    replacement = _replacement(network, swap or "", mean_of, layer, show=not as_json)
    found = (
        swap_context(network, image, replacement, name=name)
        if layer is None
        else swap_layer(network, image, layer, replacement, name=name)
    )
    place = re.sub(r"[^\w.-]+", "-", name).strip("-.") or "image"
    paths = found.save(folder or probe_folder(model, f"context/{place}"))
    _tell(found, found.to_json(), found.summary(), paths, as_json)
    if not as_json:
        messages.print(f"  lookwider probe context {escape(model)} data=PATH limit=20")


def _check(
    images: Sequence[str], values: dict[str, str], swap: str | None, mean_of: Path | None
) -> None:
    """Refuse words that do not go together."""
    if bool(values) == bool(images) or len(images) > 1:
        raise ConfigError("what to probe? give one IMAGE with --swap, or data=PATH ...")
    if values and (swap or mean_of):
        raise ConfigError("over data=, replacements=other,mean,zeros says what; leave out --swap")
    if images and not swap:
        raise ConfigError(f"what stands in for the image's context? give --swap: {SWAPS}")
    if (swap == "mean") != (mean_of is not None):
        raise ConfigError("the mean of which images? give --swap mean --mean-of FOLDER")


def _replacement(
    network: Network, swap: str, mean_of: Path | None, layer: str | None, *, show: bool
) -> Replacement:
    """Return what ``--swap`` means."""
    from lookwider.inference.predictor import find_images
    from lookwider.probes.swap import OneRegion, OtherImage, Zeros, mean_context

    if mean_of is not None:
        paths = [file.path for file in find_images([mean_of])]
        return mean_context(network, paths, layer=layer, console=messages, show=show)
    if swap == "zeros":
        return Zeros()
    if swap.startswith("region:"):
        match = re.fullmatch(r"region:(\d+),(\d+)", swap)
        if match is None:
            raise ConfigError(
                f"got --swap {swap!r}, expected region:BINS,INDEX, e.g. region:2,0 for the first "
                "of 2 x 2 regions"
            )
        return OneRegion(int(match[1]), int(match[2]))
    name, image = named_image(swap)
    return OtherImage(image, f"that of {name}")


def _reliance(
    network: Network, settings: RelianceSettings, layer: str | None, *, show: bool
) -> ContextReliance:
    from lookwider.probes.swap import context_reliance
    from lookwider.probes.swap.reliance_result import Kind

    return context_reliance(
        network,
        settings.open(network),
        layer=layer,
        replacements=cast(list[Kind], [w.strip() for w in settings.replacements.split(",")]),
        limit=settings.limit,
        seed=settings.seed,
        console=messages,
        show=show,
    )


def _tell(
    found: ContextSwap | ContextReliance,
    content: dict[str, object],
    summary: str,
    paths: Sequence[Path],
    as_json: bool,
) -> None:
    if as_json:
        out.print(json.dumps(content), markup=False)
        return
    out.print(found.table())
    out.print(summary, markup=False)
    messages.print("written: " + escape(", ".join(str(path) for path in paths)))
    messages.print(f"next: look at {escape(str(paths[-1]))}, then:")
