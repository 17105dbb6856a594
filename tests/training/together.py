"""A run in float64 that several processes train together, also run as one of them."""

from __future__ import annotations

import copy
import os
import resource
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from safetensors.torch import save_file
from tests.training import tiny
from torch import Tensor, distributed
from torch.nn.parallel import DistributedDataParallel

from lookwider.cli import train as command
from lookwider.data.sample import Batch
from lookwider.errors import LookwiderError
from lookwider.models import Segmenter, create_model
from lookwider.training import keeping, run
from lookwider.training.batch_norms import SyncBatchNorms
from lookwider.training.recipes import configure
from lookwider.training.task import SegmentationTask
from lookwider.weights.description import DTYPES

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


@cache
def pyramid_model() -> Segmenter:
    """Return a small PSPNet in float64."""
    torch.manual_seed(0)
    model = create_model("pspnet", backbone="test_efficientnet", num_classes=4, dropout=0.0)
    return model.double().train()


def gradients(name: str) -> dict[str, Tensor]:
    """Return the gradients of a case's step and what its norms remember, of all processes."""
    model = copy.deepcopy(pyramid_model())
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
        "OMP_NUM_THREADS": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "TORCHELASTIC_RUN_ID": "test",
    }


@dataclass(frozen=True)
class Started:
    """A process, and the file of what it says."""

    process: ForkServerProcess
    said: Path


def start(count: int, *words: str) -> list[Started]:
    """Start processes with torchrun's environment; they need not import anything again."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    forked = get_context("forkserver")
    forked.set_forkserver_preload(["tests.training.together", "torch.utils.tensorboard"])
    started = []
    for rank in range(count):
        said = Path(tempfile.mkdtemp()) / "said"
        given = (environment(rank, count, port), said, words)
        started.append(Started(forked.Process(target=begin, args=given), said))
        started[-1].process.start()
    return started


def begin(variables: dict[str, str], said: Path, words: tuple[str, ...]) -> None:
    """Be one of the processes."""
    os.environ.update(variables)
    with said.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.exit(main(*words))


def ended(processes: list[Started], seconds: float = 400) -> list[tuple[int, str]]:
    """Return each process's exit code and all it said."""
    found = []
    for started in processes:
        started.process.join(seconds)
        code = started.process.exitcode
        assert code is not None, f"it did not end: {started.said.read_text()}"
        found.append((code, started.said.read_text()))
        shutil.rmtree(started.said.parent)
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
    patch = pytest.MonkeyPatch()
    in_float64(patch)
    data, out, *settings = words
    values = dict(setting.split("=", 1) for setting in settings)
    if fault := values.pop("fault", None):
        FAULTS[fault](patch)
    config = tiny.plain_config(Path(data), Path(out), **values)
    try:
        return command.run(config, ["lookwider", "train"])
    except LookwiderError as error:
        print(f"error: {error}")
        return 2


def dropout(patch: pytest.MonkeyPatch) -> None:
    """Train with masks that each process draws."""
    patch.setattr(run, "create_model", tiny.model_with_dropout)


def at_step(number: int, rank: int, do: Callable[[Tensor], Tensor]) -> None:
    """Let one process do something to its loss at a step, in the middle of what all do."""
    original = SegmentationTask.loss

    def loss(self: SegmentationTask, batch: Batch, batch_idx: int) -> Tensor:
        found = original(self, batch, batch_idx)
        return do(found) if (batch_idx, self.global_rank) == (number, rank) else found

    SegmentationTask.loss = loss


def signalled(number: int, loss: Tensor) -> Tensor:
    """Send this process a signal in the middle of a step."""
    os.kill(os.getpid(), number)
    return loss


def told_to_stop(patch: pytest.MonkeyPatch) -> None:
    """Send the second process SIGTERM at step 3."""
    dropout(patch)
    at_step(3, 1, lambda loss: signalled(signal.SIGTERM, loss))


def lost_main(patch: pytest.MonkeyPatch) -> None:
    """Kill the main process when a state is written, but has not taken its place."""
    dropout(patch)
    patch.setattr(keeping, "rotate", lambda _: os.kill(os.getpid(), signal.SIGKILL))


def lost_other(patch: pytest.MonkeyPatch) -> None:
    """Kill the second process at step 9."""
    dropout(patch)
    at_step(9, 1, lambda loss: signalled(signal.SIGKILL, loss))


def not_finite(patch: pytest.MonkeyPatch) -> None:
    """Let the second process's loss be NaN at step 3."""
    del patch
    at_step(3, 1, lambda loss: loss * torch.nan)


def full_disk(patch: pytest.MonkeyPatch) -> None:
    """Let the kernel refuse the main process's bytes when it saves after step 4."""
    original = run.KeepRun.save

    def save(self: run.KeepRun, trainer: Trainer) -> None:
        if trainer.global_step == 4 and trainer.is_global_zero:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
        original(self, trainer)

    patch.setattr(run.KeepRun, "save", save)


FAULTS = {
    **{"dropout": dropout, "told_to_stop": told_to_stop, "lost_main": lost_main},
    **{"lost_other": lost_other, "not_finite": not_finite, "full_disk": full_disk},
}
