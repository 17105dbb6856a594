"""What a page knows of one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lookwider.diagnosis import Diagnosis
from lookwider.diagnosis.comparison import Comparison
from lookwider.errors import ConfigError
from lookwider.evaluation import Evaluation
from lookwider.evaluation.recorded import RecordedPredictions
from lookwider.probes.fields import FieldReport
from lookwider.probes.scales import FeatureScales
from lookwider.probes.swap import ContextReliance
from lookwider.training.config import TrainConfig


@dataclass(frozen=True, eq=False)
class RunReport:
    """A run, how it was measured, and what the instruments found.

    Attributes:
        name: short, and different from those of the other runs.
        folder: of the run or checkpoint.
        model: what it is, in words.
        parameters: number of learned values.
        evaluation: the measurement.
        config: the settings of its training; None of a checkpoint without a run.
        rows: of its ``metrics.csv``.
        predictions: of every image that it was measured on.
        diagnosis: kinds of failure.
        comparison: what it mended and broke of the first run.
        fields: how far its decisions look.
        reliance: how much it relies on its context.
        scales: how large its features are.
        missing: why something is not on the page, by the name of its section.
    """

    name: str
    folder: Path
    model: str
    parameters: int
    evaluation: Evaluation
    config: TrainConfig | None = None
    rows: tuple[dict[str, str], ...] = ()
    predictions: RecordedPredictions | None = None
    diagnosis: Diagnosis | None = None
    comparison: Comparison | None = None
    fields: FieldReport | None = None
    reliance: ContextReliance | None = None
    scales: FeatureScales | None = None
    missing: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return everything but the pictures and predictions as JSON holds it."""
        found = {
            "failures": self.diagnosis,
            "comparison": self.comparison,
            "fields": self.fields,
            "context": self.reliance,
            "scales": self.scales,
        }
        return {
            "name": self.name,
            "folder": str(self.folder),
            "model": self.model,
            "parameters": self.parameters,
            "evaluation": self.evaluation.to_json(),
            **{what: result.to_json() for what, result in found.items() if result is not None},
            "missing": dict(self.missing),
        }


def short_names(folders: Sequence[Path]) -> tuple[str, ...]:
    """Return the shortest ends of paths that tell them apart.

    Raises:
        ConfigError: two are the same folder.

    Example:
        >>> short_names([Path("a/fcn/seed0"), Path("a/pspnet/seed0")])
        ('fcn', 'pspnet')
        >>> short_names([Path("runs/a"), Path("runs/b")])
        ('a', 'b')
    """
    parts = [folder.absolute().parts for folder in folders]
    if len(set(parts)) < len(parts):
        twice = next(folder for folder in folders if parts.count(folder.absolute().parts) > 1)
        raise ConfigError(f"{twice}: is given twice; give each run once")
    while len(parts) > 1 and len({own[-1] for own in parts if own}) == 1:
        parts = [own[:-1] for own in parts]  # the same for all: it tells nothing
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(own[-length:]) for own in parts]
        if len(set(names)) == len(names):
            return tuple(names)
    return tuple(map(str, folders))
