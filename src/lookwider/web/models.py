"""The networks that are served: found by a folder, loaded when first asked for."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from lookwider.classes import Classes
from lookwider.errors import CheckpointError, ConfigError, unknown_name
from lookwider.inference.compiled import for_inference
from lookwider.inference.device import choose_device
from lookwider.models import Segmenter
from lookwider.weights.checkpoint import checkpoint_folder, load
from lookwider.weights.description import describe

DEEPEST = 4
"""Folders within folders that are searched for runs."""

CHECKPOINT_NAMES = frozenset({"best", "last", "previous"})
"""Folders of a run, whose name says less than the run's."""

Dtype = torch.dtype | Literal["auto"] | None


@dataclass(frozen=True)
class ModelInformation:
    """What is known of a network without loading it.

    Attributes:
        name: that requests choose it by.
        architecture: of the registry, such as ``"fcn8s"``.
        backbone: its trunk.
        classes: what it tells apart, with their colours.
        in_channels: bands of its images.
        parameters: how many numbers its weights are.
        options: further keywords of `lookwider.create_model`.
        scores: what the run reached, and how that was measured.
    """

    name: str
    architecture: str
    backbone: str
    classes: Classes
    in_channels: int
    parameters: int
    options: Mapping[str, Any]
    scores: Mapping[str, Any]


class ServedModel:
    """One network that is served; loaded when it is first used.

    Args:
        name: that requests choose it by.
        folder: its checkpoint.
        device: where it goes.
        dtype: to compute in, as in `Segmenter.compile_for_inference`.

    Raises:
        CheckpointError: the description is missing or damaged.
    """

    def __init__(self, name: str, folder: Path, device: torch.device, dtype: Dtype = None) -> None:
        self.name, self.folder, self.device, self.dtype = name, folder, device, dtype
        self.information = _information(name, folder)
        self._plain: Segmenter | None = None
        self._fast: Segmenter | None = None
        self._loading = threading.Lock()

    @property
    def classes(self) -> Classes:
        """What it tells apart."""
        return self.information.classes

    @property
    def loaded(self) -> bool:
        """Whether it is in memory."""
        return self._fast is not None or self._plain is not None

    def plain(self) -> Segmenter:
        """Return the network as it was trained, for gradients and probes.

        Raises:
            CheckpointError: the checkpoint is damaged.
        """
        with self._loading:
            if self._plain is None:
                self._plain = load(self.folder, device=self.device)
            return self._plain

    def fast(self) -> Segmenter:
        """Return the network compiled for inference: the same scores in less time.

        Raises:
            CheckpointError: the checkpoint is damaged.
        """
        with self._loading:
            if self._fast is None:
                plain = self._plain or load(self.folder, device=self.device)
                self._fast = for_inference(plain, self.dtype)
            return self._fast


class ServedModels(Mapping[str, ServedModel]):
    """The networks of a run folder, a checkpoint, or a folder of runs, by name.

    Args:
        models: what is served; the first is the one that requests mean that name none.
        refused: checkpoints that were found and cannot be read, with the reason.

    Raises:
        ConfigError: there is none, or two have one name.
    """

    def __init__(self, models: list[ServedModel], refused: Mapping[str, str] | None = None) -> None:
        self._models = {model.name: model for model in models}
        self.refused = dict(refused or {})
        self._computing = threading.Lock()
        if not models:
            raise ConfigError("got no model, expected at least one to serve")
        if len(self._models) != len(models):
            names = [model.name for model in models]
            twice = next(name for name in names if names.count(name) > 1)
            raise ConfigError(f"got two runs that are both called {twice!r}; rename one folder")

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], device: str = "auto", dtype: Dtype = None
    ) -> ServedModels:
        """Find the networks of a folder; none is loaded yet.

        Args:
            path: a run, a checkpoint, or a folder that holds such, at any depth up to four.
            device: as in `choose_device`.
            dtype: as in `Segmenter.compile_for_inference`.

        Raises:
            CheckpointError: there is none that can be read.
            ConfigError: there is no such device, or two runs have one name.
        """
        folder, where = Path(path), choose_device(device)
        runs = _runs(folder, DEEPEST)
        if not runs:
            checkpoint_folder(folder)  # says what is wrong
        models, refused = [], {}
        for name, run in _named(runs).items():
            try:
                models.append(ServedModel(name, checkpoint_folder(run), where, dtype))
            except CheckpointError as error:
                refused[name] = str(error)
        if not models:
            raise CheckpointError(next(iter(refused.values())))
        return cls(models, refused)

    def __getitem__(self, name: str) -> ServedModel:
        """Return a model by its name.

        Raises:
            ConfigError: none is called so.
        """
        if name not in self._models:
            raise ConfigError(unknown_name("model", name, self._models))
        return self._models[name]

    def __contains__(self, name: object) -> bool:
        return name in self._models

    def __iter__(self) -> Iterator[str]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)

    @property
    def default(self) -> ServedModel:
        """The model that requests mean that name none."""
        return next(iter(self._models.values()))

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Hold the device: one computation at a time, whoever asks for it."""
        with self._computing:
            yield


def _runs(folder: Path, depth: int) -> list[Path]:
    """Return the runs and checkpoints at or within a folder, sorted."""
    try:
        checkpoint_folder(folder)
    except CheckpointError:
        if depth == 0 or not folder.is_dir():
            return []
        inner = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
        return [run for path in inner for run in _runs(path, depth - 1)]
    return [folder]


def _named(runs: list[Path]) -> dict[str, Path]:
    """Return the runs by what tells them apart: their paths below what all have in common."""
    paths = [run.absolute() for run in runs]
    paths = [path.parent if path.name in CHECKPOINT_NAMES else path for path in paths]
    common = Path(os.path.commonpath([path.parent for path in paths])) if paths else Path()
    names = ["-".join(path.relative_to(common).parts) for path in paths]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"got two runs that are both called {name!r}; rename one folder")
    return dict(zip(names, runs, strict=True))


def _information(name: str, folder: Path) -> ModelInformation:
    description = describe(folder)
    known = {"name", "backbone", "num_classes", "in_channels", "extra_classes"}
    keywords = description.architecture
    return ModelInformation(
        name=name,
        architecture=str(keywords.get("name", "")),
        backbone=str(keywords.get("backbone", "")),
        classes=description.classes,
        in_channels=description.preprocessing.in_channels,
        parameters=sum(math.prod(entry.shape) for entry in description.tensors.values()),
        options={key: value for key, value in keywords.items() if key not in known},
        scores=description.scores,
    )
