"""How many processors and how much memory a process may use: Linux's control groups, both forms."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

GROUPS, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
"""Where the kernel shows the groups, and which ones this process is in."""

MEMORY = Path("/proc/meminfo")


@dataclass(frozen=True)
class Limits:
    """What this process may use.

    Attributes:
        cores: processors that it may run on.
        machine_cores: processors of the machine.
        quota: processors' time that it gets, such as 1.5; None without a limit.
        memory: bytes that it may hold; None where the system does not tell.
        free_memory: bytes that are free now; None where the system does not tell.
    """

    cores: int
    machine_cores: int
    quota: float | None
    memory: int | None
    free_memory: int | None

    @property
    def useful_threads(self) -> int:
        """Threads that can run at the same time."""
        return self.cores if self.quota is None else max(1, min(self.cores, int(self.quota)))


def read_limits(groups: Path = GROUPS, own: Path = OWN, memory: Path = MEMORY) -> Limits:
    """Return what this process may use; the arguments are where Linux shows it."""
    machine = os.cpu_count() or 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else machine
    quotas = [_quota(folder) for folder in _folders(groups, own, "cpu")]
    known = _meminfo(memory)
    bounds = [_bound(folder) for folder in _folders(groups, own, "memory")]
    totals = [size for size in (*bounds, known.get("MemTotal")) if size is not None]
    used = [_used(folder) for folder in _folders(groups, own, "memory")]
    room = [bound - held for bound, held in zip(bounds, used, strict=True) if bound and held]
    free = [size for size in (*room, known.get("MemAvailable")) if size is not None]
    free += totals if free else []  # more cannot be free than there is
    return Limits(
        cores=cores,
        machine_cores=machine,
        quota=min((quota for quota in quotas if quota is not None), default=None),
        memory=min(totals, default=None),
        free_memory=max(0, min(free)) if free else None,
    )


def _folders(groups: Path, own: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of this process's groups, from its own to the outermost."""
    for line in _text(own).splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers not in ("", controller) and controller not in controllers.split(","):
            continue
        root = groups if not controllers else groups / controller
        folder = root / path.lstrip("/")
        while folder != root:
            yield folder
            folder = folder.parent
        yield root


def _quota(folder: Path) -> float | None:
    words = _text(folder / "cpu.max").split()  # "150000 100000", or "max 100000"
    if not words:
        words = [_text(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
    if len(words) != 2 or not all(word.isdecimal() for word in words) or words[1] == "0":
        return None
    return int(words[0]) / int(words[1])


def _bound(folder: Path) -> int | None:
    return _number(folder / "memory.max") or _number(folder / "memory.limit_in_bytes")


def _used(folder: Path) -> int | None:
    return _number(folder / "memory.current") or _number(folder / "memory.usage_in_bytes")


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdecimal() else None


def _meminfo(path: Path) -> dict[str, int]:
    """Return the entries of the machine's memory, in bytes."""
    parts = [line.split() for line in _text(path).splitlines()]
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in parts if len(words) >= 2}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
