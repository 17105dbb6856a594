"""Is a checkpoint what it was when it was written? Its files by hash, its network by its outputs.

The hashes tell whether the files are the same. The golden outputs tell whether they still mean
the same network with this machine, this PyTorch and this lookwider.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lookwider.errors import CheckpointError
from lookwider.weights.checkpoint import checkpoint_folder, load, verified_file
from lookwider.weights.description import DESCRIPTION, describe
from lookwider.weights.golden import TOLERANCE, golden_outputs


@dataclass(frozen=True)
class Verification:
    """What `verify` found.

    Attributes:
        folder: the checkpoint.
        files: every file that was checked -> what is wrong with it, or None.
        differences: every golden output -> its difference relative to its largest value; empty
            where the checkpoint holds none, None where they could not be computed.
        problem: why the model could not be run, or None.
    """

    folder: Path
    files: dict[str, str | None]
    differences: dict[str, float] | None = field(default_factory=dict)
    problem: str | None = None

    @property
    def worst(self) -> float | None:
        """The largest difference; None where there is none to tell."""
        return max(self.differences.values()) if self.differences else None

    @property
    def good(self) -> bool:
        """Whether every file is the same and every output within rounding."""
        whole = not any(self.files.values()) and self.problem is None
        return whole and (self.worst is None or self.worst <= TOLERANCE)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values; an infinite difference is null."""
        differences = {
            name: value if math.isfinite(value) else None
            for name, value in (self.differences or {}).items()
        }
        worst = None if self.worst is None or math.isinf(self.worst) else self.worst
        return {
            "checkpoint": str(self.folder),
            "good": self.good,
            "files": self.files,
            "golden": differences,
            "worst": worst,
            "tolerance": TOLERANCE,
            "problem": self.problem,
        }


def verify(folder: str | Path) -> Verification:
    """Check a checkpoint's hashes and compute its golden outputs again, on the CPU.

    Args:
        folder: a checkpoint, or a run holding ``best`` or else ``last``.

    Raises:
        CheckpointError: there is no checkpoint.
    """
    folder = checkpoint_folder(folder)
    try:
        description = describe(folder)
    except CheckpointError as error:
        return Verification(folder, {DESCRIPTION: str(error)}, None)
    files: dict[str, str | None] = {DESCRIPTION: None}
    for name in sorted(description.sha256.keys() - {DESCRIPTION}):
        try:
            verified_file(folder, name, description)
            files[name] = None
        except CheckpointError as error:
            files[name] = str(error)
    if any(files.values()):
        return Verification(folder, files, None)
    try:
        model = load(folder)
        if description.golden is None:
            return Verification(folder, files)
        found = golden_outputs(model, size=description.golden.size)
    except CheckpointError as error:
        return Verification(folder, files, None, str(error))
    return Verification(folder, files, description.golden.differences(found))
