"""Processes on this machine: all batches once, whoever ends on the way."""

import io
import os
import signal
import sys
import threading
import time

import psutil
import pytest
from rich.console import Console
from tests.inference.bulk import small

from lookwider.errors import LookwiderError
from lookwider.inference.bulk import BulkImage, BulkJob, local, predict_bulk
from lookwider.inference.bulk.job import batches_of
from lookwider.inference.bulk.local import LocalWorkers
from lookwider.inference.bulk.manifest import read_manifest

SCRIPT = """
import json, os, signal, sys
from pathlib import Path
job = json.loads(sys.stdin.readline())
out = Path(job["out"])
def once(what):
    try:
        (out / what).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
{start}
print('"ready"', flush=True)
while (order := json.loads(sys.stdin.readline())) != "end":
    number, images = order
    {work}
    rows = [dict(name=name, path=source, status="done") for name, source in images]
    print(json.dumps([number, rows]), flush=True)
"""


@pytest.fixture
def segment(tmp_path, monkeypatch):
    """Return what lets two workers, whose work is a script's, do fifty images."""
    said = Console(file=io.StringIO(), width=200)

    def run(work="pass", start=""):
        script = SCRIPT.format(work=work, start=start)
        monkeypatch.setattr(local, "WORKER", (sys.executable, "-c", script))
        images = [BulkImage(f"{i}", f"/{i}.png") for i in range(50)]
        workers = LocalWorkers(BulkJob(tmp_path, tmp_path, device="cpu"), 2, said)
        batches = list(batches_of(images, 3))
        names = [r.name for records in workers.segment(batches[:9]) for r in records]
        names += [r.name for records in workers.segment(batches[9:]) for r in records]
        assert all(worker.child.ended for worker in workers.workers)
        assert sorted(names, key=int) == [image.name for image in images]
        return said.file.getvalue()

    return run


def test_every_image_once(segment):
    assert segment() == ""


@pytest.mark.parametrize("when", ["work", "start"])
def test_a_lost_worker_is_replaced_and_its_batches_done_again(segment, when):
    kill = "once('killed') and os.kill(os.getpid(), signal.SIGKILL)"
    assert "its process was ended by SIGKILL" in segment(**{when: kill})


def test_half_an_answer_counts_for_nothing(segment):
    half = "once('half') and (print('[3, [{', end='', flush=True), os.kill(os.getpid(), 9))"
    assert "begun again" in segment(half)


def test_workers_that_never_get_ready(segment):
    with pytest.raises(LookwiderError, match=r"5 workers in a row ended before .* fewer --workers"):
        segment(start="os.kill(os.getpid(), signal.SIGKILL)")


def test_a_worker_that_cannot_go_on_ends_the_job(segment):
    with pytest.raises(LookwiderError, match=r"^cannot write the results: full$"):
        segment("print('error: cannot write the results: full', file=sys.stderr); sys.exit(2)")
    with pytest.raises(LookwiderError, match="a worker ended before its job"):
        segment("sys.exit(0)")


def test_a_checkpoint_that_does_not_load_is_said(run, folder, tmp_path):
    job = BulkJob(run, tmp_path / "out", shift_and_stitch=3, device="cpu")
    with pytest.raises(LookwiderError, match="got shift_and_stitch=3, expected a divisor"):
        predict_bulk(job, small.images_in(folder), show=False)
    assert not (tmp_path / "out" / "manifest.parquet").exists()


@pytest.mark.slow
def test_workers_killed_at_random_change_nothing(run, folder, expected, tmp_path):
    out, killed, over = tmp_path / "out", [], threading.Event()

    def kill_some():
        while not over.is_set() and len(killed) < 2:
            for child in psutil.Process().children():
                marks = list((out / ".manifest" / "attempts").glob("*"))
                if marks and "bulk.worker" in " ".join(child.cmdline()) and len(killed) < 2:
                    os.kill(child.pid, signal.SIGKILL)
                    killed.append(child.pid)
            time.sleep(0.01)

    thread = threading.Thread(target=kill_some)
    thread.start()
    console = Console(file=io.StringIO(), width=200)
    job = BulkJob(run, out, device="cpu")
    report = predict_bulk(job, small.images_in(folder), workers=2, console=console)
    over.set()
    thread.join()
    assert len(killed) == 2
    assert "ended by SIGKILL" in console.file.getvalue()
    assert small.contents(out) == expected
    assert sorted(report.written) == sorted(set(report.written))
    assert len(read_manifest(out / "manifest.parquet")) == len(report.written) + 1 == 13
