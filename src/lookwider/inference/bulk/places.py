"""Where a bulk job keeps its files, beside its results."""

from __future__ import annotations

from pathlib import Path

MANIFEST = "manifest.parquet"
"""One row per image; there only once a job has ended."""


def job_folder(out: Path) -> Path:
    """Return what is there only while a job is not finished."""
    return out / ".manifest"


def attempts_folder(folder: Path) -> Path:
    """Return where workers note what they have begun, in a `Job.folder`."""
    return folder / "attempts"


def work_folder(out: Path) -> Path:
    """Return where workers write results before they are moved to their names."""
    return job_folder(out) / "work"
