"""What the machine has: devices, threads, memory, disk."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

import torch

from lookwider.bench.machine import processor
from lookwider.environment.findings import Finding
from lookwider.environment.limits import Limits
from lookwider.inference.memory import glibc

LITTLE_MEMORY, LITTLE_DISK = 4 * 2**30, 5 * 2**30
"""Below these, training and large images need care."""

DRIVER = Path("/proc/driver/nvidia/version")
"""There where Linux drives an NVIDIA GPU."""


def device_finding() -> Finding:
    """Return the GPUs that PyTorch sees; a note where there is one that it does not see."""
    if torch.cuda.is_available():
        each = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
        names = [f"{gpu.name}, {gpu.total_memory / 2**30:.0f} GiB" for gpu in each]
        return Finding("devices", f"{'; '.join(names)} (CUDA {torch.version.cuda})")
    if torch.backends.mps.is_available():
        advice = "lookwider computes on the processor here: MPS is not tested"
        return Finding("devices", "an Apple GPU (MPS)", "note", advice)
    if DRIVER.exists():
        built = (
            f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
        )
        advice = "install PyTorch for your driver: https://pytorch.org/get-started/locally"
        return Finding("devices", f"a GPU that PyTorch, {built}, does not see", "note", advice)
    return Finding("devices", "no GPU; everything runs on the processor, training slowly", "note")


def thread_finding(limits: Limits) -> Finding:
    """Return the processors and PyTorch's threads; a note where they do not fit together."""
    threads, useful = torch.get_num_threads(), limits.useful_threads
    share = f"{limits.cores} of {limits.machine_cores} processors"
    quota = "" if limits.quota is None else f", time of {limits.quota:g}"
    found = f"{share}{quota}, {threads} threads of PyTorch; {processor()}"
    if threads > useful:
        advice = f"more threads than can run slow each other down: export OMP_NUM_THREADS={useful}"
        return Finding("processors", found, "note", advice)
    if threads < useful and "OMP_NUM_THREADS" in os.environ:
        told = os.environ["OMP_NUM_THREADS"]
        advice = f"OMP_NUM_THREADS={told} leaves some idle; unset it when nothing else runs"
        return Finding("processors", found, "note", advice)
    return Finding("processors", found)


def memory_finding(limits: Limits) -> Finding:
    """Return the memory that this process may hold."""
    if limits.memory is None:
        return Finding("memory", f"not told by {platform.system()}")
    free = limits.free_memory
    found = f"{limits.memory / 2**30:.1f} GiB" + (
        "" if free is None else f", {free / 2**30:.1f} GiB of it free"
    )
    if (limits.memory if free is None else free) < LITTLE_MEMORY:
        advice = "train with batch_size=1 and small crops; predict with --max-memory 1GB"
        return Finding("memory", found, "note", advice)
    return Finding("memory", found)


def disk_finding(folder: Path) -> Finding:
    """Return the free disk of a folder, and whether runs can be written there."""
    free = shutil.disk_usage(folder).free
    found = f"{free / 2**30:.1f} GiB free in {folder.absolute()}"
    if not os.access(folder, os.W_OK):
        return Finding("disk", f"{found}, not writable", "note", "give out= of another folder")
    if free < LITTLE_DISK:
        advice = "a run keeps up to three checkpoints; give out= of a larger disk"
        return Finding("disk", found, "note", advice)
    return Finding("disk", found)


def allocator_finding() -> Finding:
    """Return who hands out memory."""
    preloaded = os.environ.get("LD_PRELOAD", "")
    if any(name in preloaded for name in ("jemalloc", "tcmalloc")):
        return Finding("allocator", f"{Path(preloaded.split(':')[0]).name}, preloaded")
    if glibc("malloc_trim", 0):
        return Finding("allocator", "glibc's; freed memory is given back between images")
    return Finding("allocator", f"that of {platform.system()}; freed memory may stay with Python")
