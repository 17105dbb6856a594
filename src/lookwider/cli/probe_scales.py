"""``lookwider probe scales``: how large the features of each layer are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from lookwider.cli.completion import complete_run
from lookwider.cli.console import messages, out
from lookwider.cli.probing import SCENE, DataSettings, given_images, probe_folder
from lookwider.cli.settings import split_words
from lookwider.errors import ConfigError


def scales(
    model: Annotated[
        str,
        typer.Argument(
            help="A run folder or checkpoint, package.module:function for a module of your own, "
            "or a model's name for random weights.",
            autocompletion=complete_run,
            show_default=False,
        ),
    ],
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGES... | data=PATH [KEY=VALUE]...",
            help="Images, folders of images, and built-in test scenes, as "
            "scene:INDEX,kind=road,size=96x128; or data=PATH and: split=test limit=N layout=auto "
            "class_map=data|model",
            show_default=False,
        ),
    ],
    layers: Annotated[
        str | None,
        typer.Option(help="Names of layers, as layer2,fc7; the trunk's stages when not given."),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--out", help="Folder of the results.", show_default=False)
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Measure how large features are, layer by layer, before and after L2 normalisation.

    Example: lookwider probe scales runs/a data=camvid split=test limit=20
    """
    # the drawing takes a second to import
    from lookwider.inference.device import choose_device
    from lookwider.probes.images import Images
    from lookwider.probes.opening import open_network
    from lookwider.probes.scales import feature_scales

    given, values = split_words(words, SCENE)
    if bool(given) == bool(values):
        raise ConfigError("got images and settings, or neither; give images, or data=PATH ...")
    settings = DataSettings.parse(values) if values else None
    files = given_images(given)
    network = open_network(model, choose_device(device))
    images: Images = files if settings is None else settings.open(network)
    found = feature_scales(
        network,
        images,
        None if layers is None else [name.strip() for name in layers.split(",")],
        limit=settings.limit if settings is not None else None,
        console=messages,
        show=not as_json,
    )
    paths = found.save(folder or probe_folder(model, "scales"))
    if as_json:
        out.print(json.dumps(found.to_json()), markup=False)
        return
    out.print(found.table())
    out.print(found.summary(), markup=False)
    messages.print("written: " + escape(", ".join(str(path) for path in paths)))
    messages.print(f"next: look at {escape(str(paths[-1]))}, then:")
    messages.print(f"  lookwider probe context {escape(model)} IMAGE --swap OTHER_IMAGE")
