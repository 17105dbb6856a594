"""The libraries that lookwider asks for: which are there, new enough, and what extras bring."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement

from lookwider.environment.findings import Finding

FOR_DEVELOPERS = frozenset({"bench", "test", "docs", "dev"})
"""Extras that no command asks for."""

PURPOSES = {
    "hf": "data=hf:...",
    "geo": "compressed and many-band TIFF, images in tiles",
    "bulk": "predict --workers",
    "ray": "predict --engine ray",
    "web": "serve",
    "onnx": "export --format onnx",
    "openvino": "export --format openvino",
}
"""What the other extras are for."""


def library_findings() -> list[Finding]:
    """Return a finding of the libraries that are always needed, and one of each extra."""
    required = [need for need in _requirements() if _applies(need, "")]
    missing = [problem for need in required if (problem := _problem(need)) is not None]
    versions = [f"{need.name} {_version(need.name)}" for need in required if _version(need.name)]
    if missing:
        advice = "pip install --upgrade lookwider, in an environment of its own"
        libraries = Finding("libraries", "; ".join(missing), "broken", advice)
    else:
        libraries = Finding("libraries", ", ".join(versions))
    extras = metadata.metadata("lookwider").get_all("Provides-Extra") or []
    return [libraries, *(_extra(name) for name in extras if name not in FOR_DEVELOPERS)]


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that are always needed, of those that are there."""
    names = [need.name for need in _requirements() if _applies(need, "")]
    return {name: version for name in names if (version := _version(name)) is not None}


def _extra(name: str) -> Finding:
    needs = [need for need in _requirements() if _applies(need, name) and not _applies(need, "")]
    problems = [problem for need in needs if (problem := _problem(need)) is not None]
    if problems:
        advice = f"for {PURPOSES[name]}: pip install 'lookwider[{name}]'"
        return Finding(f"extra {name}", "; ".join(problems), "note", advice)
    return Finding(f"extra {name}", ", ".join(f"{n.name} {_version(n.name)}" for n in needs))


def _requirements() -> Iterator[Requirement]:
    yield from map(Requirement, metadata.requires("lookwider") or [])


def _applies(need: Requirement, extra: str) -> bool:
    return need.marker is None or need.marker.evaluate({"extra": extra})


def _problem(need: Requirement) -> str | None:
    """Return what is wrong with a library, None where it is there and new enough."""
    version = _version(need.name)
    if version is None:
        return f"{need.name} is not installed"
    if not need.specifier.contains(version, prereleases=True):
        return f"{need.name} is {version}, expected {need.specifier}"
    return None


def _version(name: str) -> str | None:
    try:
        return metadata.version(re.sub(r"[-_.]+", "-", name))
    except metadata.PackageNotFoundError:
        return None
