"""All findings about an installation."""

from __future__ import annotations

import importlib
import platform
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from lookwider.environment.findings import Finding
from lookwider.environment.libraries import library_findings, library_versions
from lookwider.environment.limits import Limits, read_limits
from lookwider.environment.machine import (
    allocator_finding,
    device_finding,
    disk_finding,
    memory_finding,
    thread_finding,
)
from lookwider.environment.speed import Speed, measure_speed, speed_findings
from lookwider.inference.device import choose_device


@dataclass(frozen=True)
class Environment:
    """An installation and its machine.

    Attributes:
        findings: in the order of a table.
        versions: of the libraries.
        limits: what this process may use.
        speed: what was measured; None where the network could not be run.
        device: where.
    """

    findings: tuple[Finding, ...]
    versions: dict[str, str]
    limits: Limits
    speed: Speed | None
    device: str

    @property
    def good(self) -> bool:
        """Whether nothing is broken."""
        return all(finding.state != "broken" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON holds it."""
        return {
            "good": self.good,
            "findings": [asdict(finding) for finding in self.findings],
            "python": platform.python_version(),
            "versions": self.versions,
            "limits": asdict(self.limits) | {"useful_threads": self.limits.useful_threads},
            "threads": torch.get_num_threads(),
            "device": self.device,
            "speed": None if self.speed is None else asdict(self.speed),
        }


def check_environment(
    folder: Path, device: str = "auto", tell: Callable[[str], None] = lambda what: None
) -> Environment:
    """Look at the libraries and the machine, and run a small network.

    Args:
        folder: whose disk is looked at.
        device: where the network runs; a GPU where there is one.
        tell: called with what is looked at.

    Raises:
        ConfigError: there is no such device.
    """
    where = choose_device(device)
    tell("libraries")
    findings = [_python(), *library_findings(), _compiled_loops()]
    tell("machine")
    limits = read_limits()
    findings += [device_finding(), thread_finding(limits), memory_finding(limits)]
    findings += [allocator_finding(), disk_finding(folder)]
    tell("a small network, timed")
    speed = None
    try:
        speed = measure_speed(where)
        findings += speed_findings(speed, where)
    except Exception as error:  # whatever a broken installation raises is the finding
        reason = f"failed with {type(error).__name__}: {error}"
        advice = "install PyTorch anew: https://pytorch.org/get-started/locally"
        findings.append(Finding("a network", reason, "broken", advice))
    return Environment(tuple(findings), library_versions(), limits, speed, str(where))


def _python() -> Finding:
    system = f"{platform.system()} {platform.machine()}"
    return Finding("Python", f"{platform.python_version()} at {sys.prefix}, {system}")


def _compiled_loops() -> Finding:
    try:
        importlib.import_module("numba")
    except ImportError as error:
        advice = "labels and losses take their plain forms, which are slower: pip install numba"
        return Finding("compiled loops", f"no numba: {error}", "note", advice)
    return Finding("compiled loops", "numba, for labels and losses on the processor")
