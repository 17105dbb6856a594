import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.ablation import tiny

from lookwider import processes as own_processes
from lookwider.ablation import processes, worker
from lookwider.ablation.processes import Worker
from lookwider.errors import DataError
from lookwider.processes import Child, environment, read_error
from lookwider.training.config import TrainConfig
from lookwider.training.stopping import StoppedError


def join_watches() -> None:
    """Wait for the threads that wait at the pipes: they must not outlive what is patched."""
    for thread in threading.enumerate():
        if thread.name == worker.WATCH:
            thread.join(20)
            assert not thread.is_alive()


@pytest.fixture
def orders(tmp_path: Path) -> Iterator[tuple[int, TrainConfig]]:
    """Yield the end of a pipe that holds an order, whose other end stays open."""
    config = tiny.plan(tmp_path).jobs[1].config
    read, write = os.pipe()
    text = json.dumps({"config": config.model_dump(mode="json"), "split": "val"})
    os.write(write, text.encode() + b"\n")
    yield read, config
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker.os, "kill", lambda *_: None)
        patch.setattr(worker.os, "_exit", lambda *_: None)
        patch.setattr(worker, "SAVE_SECONDS", 0.0)
        os.close(write)
        join_watches()
    os.close(read)


def test_a_worker_trains_what_it_is_told(
    orders: tuple[int, TrainConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(worker, "train_and_measure", lambda *given: seen.extend(given[:2]))
    assert worker.main(orders[0]) == 0
    assert seen == [orders[1], "val"]


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (DataError("a.png: broken"), 2, "error: a.png: broken\n"),
        (RuntimeError("no memory"), 2, "error: RuntimeError: no memory\n"),
        (StoppedError(3, 2), 130, "stopped by SIGINT, saved after step 3\n"),
        (KeyboardInterrupt(), 130, "\n"),
    ],
)
def test_how_a_worker_ends(
    error: BaseException,
    code: int,
    said: str,
    orders: tuple[int, TrainConfig],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(worker, "train_and_measure", fail)
    assert worker.main(orders[0]) == code
    assert capsys.readouterr().err.endswith(said)


def test_a_worker_ends_with_the_process_that_wants_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny.plan(tmp_path).jobs[0].config
    read, write = os.pipe()
    gone, killed = threading.Event(), []

    def kill(process: int, number: int) -> None:
        killed.append((process, number))
        gone.set()

    def train_and_measure(*_: object) -> None:
        os.close(write)
        assert gone.wait(10)

    monkeypatch.setattr(worker.os, "kill", kill)
    monkeypatch.setattr(worker.os, "_exit", lambda *_: None)
    monkeypatch.setattr(worker, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(worker, "train_and_measure", train_and_measure)
    os.write(write, json.dumps({"config": config.model_dump(mode="json"), "split": "a"}).encode())
    os.write(write, b"\n")
    assert worker.main(read) == 0
    join_watches()
    assert killed == [(os.getpid(), signal.SIGTERM)]
    os.close(read)


def started(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Child:
    monkeypatch.setattr(processes, "WORKER", (sys.executable, "-c", script))
    plan = tiny.plan(tmp_path)
    return Worker(plan.jobs[0], plan, 0, 1).child


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("print('error: old'); print('x\\nerror: two\\n lines'); exit(2)", r"^two\n lines$"),
        ("exit(7)", r"^its process ended with exit code 7; see .*coarse-seed0\.log$"),
        ("import os; os.kill(os.getpid(), 9)", "ended by SIGKILL; out of memory. see"),
    ],
)
def test_why_a_process_failed(
    script: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = started(script, tmp_path, monkeypatch)
    process.wait(20)
    assert process.ended
    error = process.error()
    assert error is not None
    with pytest.raises(ValueError, match=message):
        raise ValueError(error)


def test_words_of_an_earlier_try_are_not_taken(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("error: then\nand now\n")
    assert read_error(log, 0) == "then\nand now"
    assert read_error(log, len("error: then\n")) is None


def test_a_process_that_does_not_stop_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_processes, "KILL_SECONDS", 0.2)
    script = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "print('ready', flush=True); time.sleep(60)"
    )
    process = started(script, tmp_path, monkeypatch)
    while b"ready" not in process.log.read_bytes():
        assert not process.ended
    process.kill()
    assert process.code == -signal.SIGKILL


def test_devices_and_cores_are_shared_out() -> None:
    outer: dict[str, str] = {}
    taken = [
        environment(slot, 4, gpu=True, outer=outer, gpus=2)["CUDA_VISIBLE_DEVICES"]
        for slot in range(4)
    ]
    assert taken == ["0", "1", "0", "1"]
    cores = int(environment(0, 2, gpu=False, outer=outer)["OMP_NUM_THREADS"])
    assert cores == max(1, (os.cpu_count() or 1) // 2)
    given = environment(0, 2, gpu=False, outer={"OMP_NUM_THREADS": "7"})
    assert given == {"OMP_NUM_THREADS": "7"}
