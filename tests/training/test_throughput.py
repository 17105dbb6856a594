"""Waiting for data: what is measured, and what a run advises."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from rich.console import Console
from tests.training import tiny

from lookwider.data import open_dataset
from lookwider.preprocessing import IMAGENET
from lookwider.training import keeping, logs, run
from lookwider.training.keeping import KeepRun
from lookwider.training.logs import MetricsTable, RunLog, read_metrics
from lookwider.training.throughput import loading_advice, loading_rate, needed_workers


def test_the_rate_counts_images_after_the_first_batch(tmp_path: Path, monkeypatch) -> None:
    times = iter([10.0, 10.5, 11.0, 12.0])
    monkeypatch.setattr(
        "lookwider.training.throughput.time", SimpleNamespace(perf_counter=lambda: next(times))
    )
    data = tiny.make_data(tmp_path / "tiny")
    config = tiny.tiny_config(data, tmp_path / "run", batch_size=3)
    dataset = open_dataset(str(data), "train")
    assert loading_rate(config, dataset, IMAGENET, seconds=2.0) == 3 * 3 / 2.0


@pytest.mark.parametrize(
    ("wait", "workers", "expected"),
    [(0.0, 0, 1), (0.5, 0, 1), (0.8, 0, 4), (0.0, 3, 3), (0.5, 3, 6), (1.0, 1, 1000)],
)
def test_needed_workers(wait: float, workers: int, expected: int) -> None:
    assert needed_workers(wait, workers) == expected


def test_advice() -> None:
    assert loading_advice(0.049, 1, 2) == "waited for data 5 % of the time"
    assert loading_advice(0.4, 0, 2).endswith("try workers=1")
    short = loading_advice(0.9, 1, 4)
    assert "10 reading processes would keep up, and there are 4 processors" in short
    assert "try workers=4 and images stored at the size that they are trained at" in short
    assert "try images stored" in loading_advice(0.5, 4, 4)


class Steps:
    """What `RunLog` asks of a trainer."""

    accumulate_grad_batches, is_global_zero, global_step = 1, True, 0
    loggers: tuple[Any, ...] = ()
    optimizers = (SimpleNamespace(param_groups=[{"lr": 0.1}]),)


def test_the_share_of_waiting_leaves_out_the_first_batch(tmp_path: Path, monkeypatch) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(logs, "time", SimpleNamespace(monotonic=lambda: clock.now))
    log = RunLog(MetricsTable(tmp_path / "metrics.csv"), every=2, batch_size=4, samples=8)
    trainer, task = Steps(), SimpleNamespace()
    log.on_train_start(trainer, task)
    for batch, (wait, work) in enumerate([(50.0, 3.0), (1.0, 3.0), (2.0, 3.0)]):
        clock.now += wait
        log.on_train_batch_start(trainer, task, None, batch)
        clock.now += work
        trainer.global_step += 1
        log.on_train_batch_end(trainer, task, {"loss": torch.tensor(1.0)}, None, batch)
    assert log.data_wait() == pytest.approx(3 / 12)
    (row,) = read_metrics(log.table.path)
    assert float(row["data_wait"]) == pytest.approx(51 / 57, rel=1e-5)
    assert 0.05 < float(row["memory"]) < 500


def test_saving_is_not_waiting(tmp_path: Path, monkeypatch) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(logs, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(keeping, "rotate", lambda run: None)
    log = RunLog(MetricsTable(tmp_path / "metrics.csv"), every=3, batch_size=4, samples=8)

    def save_checkpoint(path: Path, storage_options: object) -> None:
        clock.now += 100.0

    keep = KeepRun(
        tmp_path, max_steps=3, val_every=None, save_every=1, log=log,
        stop=SimpleNamespace(signal=None, listen=lambda: None),
        console=Console(quiet=True), protocol={},
    )  # fmt: skip
    trainer, task = Steps(), SimpleNamespace()
    trainer.save_checkpoint = save_checkpoint
    trainer.strategy = SimpleNamespace(barrier=lambda name: None, root_device=torch.device("cpu"))
    log.on_train_start(trainer, task)
    for batch in range(3):
        clock.now += 1.0
        log.on_train_batch_start(trainer, task, None, batch)
        clock.now += 3.0
        trainer.global_step += 1
        log.on_train_batch_end(trainer, task, {"loss": torch.tensor(1.0)}, None, batch)
        keep.on_train_batch_end(trainer, task, None, None, batch)
    assert keep.saved_step == 3
    assert log.data_wait() == pytest.approx(2 / 11)
    (row,) = read_metrics(log.table.path)
    assert float(row["data_wait"]) == pytest.approx(0.25)
    assert float(row["images_per_second"]) == pytest.approx(1.0)


def test_a_run_tells_its_share_of_waiting(tmp_path: Path) -> None:
    data = tiny.make_data(tmp_path / "tiny")
    config = tiny.tiny_config(data, tmp_path / "run", steps=3, val_split="none", ema=None)
    result = run.train(config, Console(quiet=True))
    assert 0 < result.data_wait < 1
