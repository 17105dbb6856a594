"""What the probes of ``lookwider probe`` share: their images or data, and where results go."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from pydantic import Field

from lookwider.cli.settings import Settings, parse_settings
from lookwider.errors import ConfigError, DataError

if TYPE_CHECKING:
    from lookwider.data.sample import ImageArray, Sample, SegmentationDataset
    from lookwider.models.segmenter import ImageLike
    from lookwider.probes.network import Network

SCENE = "scene:"
"""A word that begins so is a built-in scene."""


class DataSettings(Settings):
    """The ``key=value`` settings that say which data to probe with."""

    data: str
    split: str = "test"
    layout: str = "auto"
    class_map: Literal["data", "model"] = "data"
    limit: int | None = Field(None, ge=1)

    def open(self, network: Network) -> SegmentationDataset:
        """Return the data set.

        Raises:
            ConfigError: the network has no class map of its own.
            DataError: there is no such data.
        """
        from lookwider.data import open_dataset

        model = network.segmenter if self.class_map == "model" else None
        if self.class_map == "model" and (model is None or model.class_map is None):
            raise ConfigError(f"{network.name}: has no class map of its own; use class_map=data")
        return open_dataset(
            self.data,
            self.split,
            layout=self.layout,
            classes=model.classes if model is not None else None,
            class_map=model.class_map if model is not None else None,
        )


def named_image(text: str) -> tuple[str, ImageLike]:
    """Return an image and its name: a file, or a built-in scene of the test split.

    A scene is ``scene:INDEX``, and after commas ``kind=``, ``size=HEIGHTxWIDTH`` and ``seed=``.

    Raises:
        ConfigError: the scene is not told so.
        DataError: there is no such file or kind of scene.

    Example:
        >>> name, image = named_image("scene:3,kind=road,size=48x64")
        >>> name, image.shape
        ('scene 3 as road', (48, 64, 3))
    """
    from lookwider.data.scenes import open_scenes, scene

    if not text.startswith(SCENE):
        path = Path(text)
        if not path.exists():
            raise DataError(f"{path}: no such image file")
        return path.stem, path
    index, _, rest = text.removeprefix(SCENE).partition(",")
    options = parse_settings(rest.split(",")) if rest else {}
    if not re.fullmatch(r"\d{1,9}", index):
        raise ConfigError(f"got {text!r}, expected scene:INDEX, e.g. scene:3,kind=road")
    kind = options.pop("kind", None)
    told = ",".join([f"count={int(index) + 1}", *(f"{k}={v}" for k, v in options.items())])
    data = open_scenes("test", told)
    drawn = scene(data.seed, int(index), data.size, kind=kind)
    return f"scene {index} as {drawn.kind}", drawn.image


def given_images(words: Sequence[str]) -> list[Sample | Path]:
    """Return the images that files, folders and built-in scenes mean.

    Raises:
        ConfigError: a scene is not told right.
        DataError: there is no such file, folder or kind of scene.
    """
    from lookwider.data.sample import Sample
    from lookwider.inference.predictor import find_images

    found: list[Sample | Path] = []
    for word in words:
        if word.startswith(SCENE):
            name, image = named_image(word)
            found.append(Sample(cast("ImageArray", image), None, name))
        else:
            found += [file.path for file in find_images([word])]
    return found


def probe_folder(model: str, probe: str) -> Path:
    """Return where the results of a probe go: beside a checkpoint, else into ``probes``.

    Example:
        >>> probe_folder("parsenet", "scales").as_posix()
        'probes/parsenet/scales'
    """
    from lookwider.weights.checkpoint import checkpoint_folder
    from lookwider.weights.hub_files import hub_address
    from lookwider.weights.places import results_folder

    if hub_address(model) is None and not Path(model).exists():
        return Path("probes") / model.replace(":", ".") / probe
    return results_folder(checkpoint_folder(model), "probes") / probe
