"""A run in float64 that several processes train together, also run as one of them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.training import tiny
from torch import Tensor, distributed
from torch.nn.parallel import DistributedDataParallel

from lookwider.cli import train as command
from lookwider.data.sample import Batch
from lookwider.errors import LookwiderError
from lookwider.models import create_model
from lookwider.training import run
from lookwider.training.batch_norms import SyncBatchNorms
from lookwider.training.recipes import configure
from lookwider.training.task import SegmentationTask
from lookwider.weights.description import DTYPES

SCRIPT = Path(__file__)
CASES: dict[str, dict[str, Any]] = {
    "whole": {"class_weights": "median_frequency", "label_smoothing": 0.1},
    "batch": {"reduction": "batch"},
    "uniform": {"loss_sampling": "uniform", "loss_cell": 8},
    "balanced": {"loss_sampling": "balanced", "loss_cell": 8, "loss_keep": 0.3},
    "hard": {"loss_sampling": "hard", "loss_keep": 0.3},
}
"""Settings of a loss; each with the auxiliary head and the synchronised norms of PSPNet."""


def exact_model(*args: Any, **options: Any) -> Any:
    """Build a model that computes in float64, so that sums in another order hardly differ."""
    model = create_model(*args, **options).double()
    model.backbone.register_forward_pre_hook(lambda _, inputs: (inputs[0].double(),))
    return model


def in_float64(patch: pytest.MonkeyPatch) -> None:
    """Let runs train `exact_model`, and save what is no checkpoint for others."""
    patch.setattr(run, "create_model", exact_model)
    patch.setitem(DTYPES, torch.float64, "F64")


def example_batch() -> Batch:
    """Return four images, of which each pair has another share of valid pixels."""
    generator = torch.Generator().manual_seed(3)
    images = torch.randn(4, 3, 49, 49, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 4, (4, 49, 49), generator=generator)
    labels[0, :40], labels[1], labels[3, 30:] = 255, 255, 255
    return Batch(images, labels, ("a", "b", "c", "d"))


def gradients(name: str) -> dict[str, Tensor]:
    """Return the gradients of a case's step and what its norms remember, of all processes."""
    torch.manual_seed(0)
    model = create_model("pspnet", backbone="resnet18", num_classes=4, dropout=0.0).double().train()
    values = {k: v for k, v in CASES[name].items() if k != "class_weights"}
    weights = torch.tensor([0.5, 1, 2, 3]) if "class_weights" in CASES[name] else None
    task = SegmentationTask(model, configure("pspnet", values), 1, weights)
    batch, step = example_batch(), task.loss
    if distributed.is_initialized():
        SyncBatchNorms(gpu=False).apply(model)
        part = slice(2 * distributed.get_rank(), 2 * distributed.get_rank() + 2)
        batch = Batch(batch.images[part], batch.labels[part], batch.names[part])
        task.forward = task.loss
        step = DistributedDataParallel(task)
    step(batch, 5).backward()
    found = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    return found | dict(model.named_buffers())


def environment(rank: int, count: int, port: int) -> dict[str, str]:
    """Return what torchrun sets for one of so many processes."""
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "TORCHELASTIC_RUN_ID": "test",
    }


def start(count: int, *words: str) -> list[subprocess.Popen[str]]:
    """Start processes of this module as torchrun does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    return [
        subprocess.Popen(
            [sys.executable, "-m", "tests.training.together", *words],
            env=environment(rank, count, port),
            cwd=SCRIPT.parents[2],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]


def ended(processes: list[subprocess.Popen[str]], seconds: float = 120) -> list[tuple[int, str]]:
    """Return each process's exit code and all it said."""
    found = []
    for process in processes:
        said = "".join(process.communicate(timeout=seconds))
        found.append((process.returncode, said))
    return found


def main(task: str, *words: str) -> int:
    """Train, or write the gradients of every case."""
    torch.set_num_threads(1)
    if task == "gradients":
        distributed.init_process_group("gloo")
        found = {name: gradients(name) for name in CASES}
        if distributed.get_rank() == 0:
            flat = {
                f"{case}/{n}": t.contiguous() for case, ts in found.items() for n, t in ts.items()
            }
            save_file(flat, words[0])
        distributed.destroy_process_group()
        return 0
    in_float64(pytest.MonkeyPatch())
    data, out, *settings = words
    values = dict(setting.split("=", 1) for setting in settings)
    bad = values.pop("nan_on_rank", None)
    if bad == os.environ.get("RANK"):
        original = SegmentationTask.loss
        SegmentationTask.loss = lambda *given: (
            original(*given) * (1 if given[2] != 3 else torch.nan)
        )
    config = tiny.plain_config(Path(data), Path(out), **values)
    try:
        return command.run(config, ["lookwider", "train"])
    except LookwiderError as error:
        print(f"error: {error}")
        return 2


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
