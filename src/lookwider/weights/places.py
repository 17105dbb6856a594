"""Where the results of a checkpoint go."""

from __future__ import annotations

from pathlib import Path

from lookwider.weights.hub_files import hub_repository


def results_folder(checkpoint: Path, what: str) -> Path:
    """Return where results of a checkpoint go: beside it, for it holds nothing else.

    Those of a model in the cache of the Hub go into the current folder, where they are found.

    Example:
        >>> results_folder(Path("runs/a/best"), "evaluation").as_posix()
        'runs/a/evaluation'
        >>> results_folder(Path("models/fcn8s"), "evaluation").as_posix()
        'models/fcn8s-evaluation'
        >>> results_folder(Path("hub/models--ann--roads/snapshots/0a1b"), "probes").as_posix()
        'hub/ann/roads/probes'
    """
    repository = hub_repository(checkpoint)
    if repository is not None:
        return Path("hub") / repository / what
    own_name = checkpoint.name.strip(".").removesuffix(".old")
    if own_name in {"best", "last", "previous"}:
        return checkpoint.parent / what
    return checkpoint.with_name(f"{own_name}-{what}")
