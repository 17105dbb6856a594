"""Processes on this machine: all batches once, whoever ends on the way."""

import contextlib
import io
import itertools
import sys

import pytest
from rich.console import Console
from tests.inference.bulk import small

from lookwider.errors import LookwiderError
from lookwider.inference.bulk import BulkImage, BulkJob, local, predict_bulk
from lookwider.inference.bulk.attempts import Attempts
from lookwider.inference.bulk.job import batches_of
from lookwider.inference.bulk.local import LocalWorkers
from lookwider.inference.bulk.manifest import read_manifest

SCRIPT = """
import hashlib, json, os, signal, sys, time
from pathlib import Path
job = json.loads(sys.stdin.readline())
out = Path(job["out"])
def digest(name):
    return hashlib.sha256(name.encode()).hexdigest()
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
    rows = [dict(name=name, path=source, status="done") for name, source, *_ in images]
    print(json.dumps([number, rows]), flush=True)
"""


@pytest.fixture
def segment(tmp_path, monkeypatch):
    """Return what lets two workers, whose work is a script's, do fifty images."""
    said = Console(file=io.StringIO(), width=200)

    def run(work="pass", start="", stop_after=None):
        script = SCRIPT.format(work=work, start=start)
        monkeypatch.setattr(local, "WORKER", (sys.executable, "-c", script))
        images = [BulkImage(f"{i}", f"/{i}.png") for i in range(50)]
        workers = LocalWorkers(BulkJob(tmp_path, tmp_path, device="cpu"), 2, said)
        batches = list(batches_of(images, 3))
        if stop_after is not None:
            with contextlib.closing(workers.segment(batches)) as answers:
                assert len(list(itertools.islice(answers, stop_after))) == stop_after
                raise KeyboardInterrupt
        names = [r.name for records in workers.segment(batches[:9]) for r in records]
        names += [r.name for records in workers.segment(batches[9:]) for r in records]
        assert all(worker.child.ended for worker in workers.workers)
        assert sorted(names, key=int) == [image.name for image in images]
        return said.file.getvalue()

    return run


def test_every_image_once(segment):
    assert segment() == ""


KILL = "once('killed') and os.kill(os.getpid(), signal.SIGKILL)"


def test_a_lost_worker_is_replaced_and_its_batches_done_again(segment):
    assert "its process was ended by SIGKILL" in segment(KILL)


def test_a_worker_that_is_lost_before_it_is_ready_is_replaced(segment):
    start = f"{KILL}; (out / f'ready {{os.getpid()}}').touch()"
    wait = "while len(list(out.glob('ready *'))) < 2: time.sleep(0.01)"
    assert "its process was ended by SIGKILL" in segment(wait, start)


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


def test_a_stop_is_no_images_fault(segment, tmp_path):
    marks = Attempts(tmp_path / ".manifest" / "attempts")
    mark = "[(out / '.manifest/attempts' / f'{digest(name)}.1').touch() for name, *_ in images]"
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            segment(f"{mark}; time.sleep(60 if number > 3 else 0)", stop_after=2)
        assert not any(marks.folder.iterdir())


@pytest.mark.slow
def test_a_killed_worker_changes_nothing(run, slow_folder, slow_expected, tmp_path):
    out = tmp_path / "out"
    console = Console(file=io.StringIO(), width=200)
    marks = out / ".manifest" / "attempts"
    with small.killing("bulk.worker", lambda: list(marks.glob("*"))) as killed:
        job = BulkJob(run, out, device="cpu")
        report = predict_bulk(job, small.images_in(slow_folder), workers=2, console=console)
    assert len(killed) == 1
    assert "ended by SIGKILL" in console.file.getvalue()
    assert small.contents(out) == slow_expected
    assert sorted(report.written) == sorted(set(report.written))
    assert len(read_manifest(out / "manifest.parquet")) == len(report.written) == 8
