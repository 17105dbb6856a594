"""The process of a worker: orders in, answers out, and its end with the job."""

import json
import os
import threading

import pytest
from tests.inference.bulk import small

from lookwider.errors import LookwiderError
from lookwider.inference.bulk import BulkJob, worker
from lookwider.inference.bulk.attempts import Attempts
from lookwider.inference.bulk.network import DeviceLostError
from lookwider.inference.bulk.pipeline import Pipeline


def answers_to(orders):
    """Return the exit code and the answers of a worker given these orders."""
    orders_out, orders_in = os.pipe()
    answers_out, answers_in = os.pipe()
    with os.fdopen(answers_out) as answers, os.fdopen(orders_in, "w") as given:
        lines = map(json.dumps, [*orders, "end"])
        print(*lines, sep="\n", file=given, flush=True)
        code = worker.main(orders_out, answers_in)
        os.close(answers_in)
        return code, [json.loads(line) for line in answers]


def test_batches_are_answered(run, folder, expected, tmp_path):
    job = BulkJob(run, tmp_path / "out", batch_size=5)
    batches = list(job.batches(small.images_in(folder)))
    code, (ready, *answers) = answers_to([job.to_json(), *[b.to_json() for b in batches]])
    assert (code, ready) == (0, "ready")
    assert sorted(number for number, _ in answers) == [0, 1, 2]
    assert len([row for _, rows in answers for row in rows]) == 13
    assert small.contents(tmp_path / "out") == expected


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (LookwiderError("disk: full"), "error: disk: full\n"),
        (KeyError("x"), "error: KeyError: 'x'\n"),
    ],
)
def test_its_last_words(run, tmp_path, monkeypatch, capfd, error, said):
    monkeypatch.setattr(Pipeline, "__init__", raising(error))
    assert answers_to([BulkJob(run, tmp_path).to_json()]) == (2, [])
    assert capfd.readouterr().err.endswith(said)


def raising(error):
    def fail(*_):
        raise error

    return fail


def test_settings_that_do_not_fit_are_said(run, tmp_path, capfd):
    job = BulkJob(run, tmp_path, shift_and_stitch=3, device="cpu")
    assert answers_to([job.to_json()]) == (2, [])
    assert "error: got shift_and_stitch=3, expected a divisor" in capfd.readouterr().err


def test_it_dies_when_it_lost_its_device(run, folder, tmp_path, monkeypatch, capfd):
    died = []
    monkeypatch.setattr(worker, "die", lambda: died.append(True))
    monkeypatch.setattr(Pipeline, "_segment", raising(DeviceLostError("assert; lost")))
    job = BulkJob(run, tmp_path, device="cpu")
    (batch, *_) = job.batches(small.images_in(folder))
    assert answers_to([job.to_json(), batch.to_json()]) == (2, ["ready"])
    assert died == [True]
    assert capfd.readouterr().err.endswith("error: assert; lost\n")
    assert Attempts(tmp_path / ".manifest" / "attempts").count(batch.images[0].name) == 1


def test_it_ends_at_once_when_its_job_is_gone(monkeypatch, tmp_path):
    codes = []
    ended = threading.Event()
    monkeypatch.setattr(worker.os, "_exit", lambda code: (codes.append(code), ended.set()))
    attempts = Attempts(tmp_path)
    attempts.begin("a")
    orders_out, orders_in = os.pipe()
    os.write(orders_in, b'"a batch"\n')
    os.close(orders_in)
    worker._listen(orders_out, worker.queue.SimpleQueue(), [attempts])
    assert ended.is_set()
    assert codes == [130]
    assert attempts.count("a") == 0
    os.close(orders_out)


def test_what_others_print_is_no_answer(run, tmp_path, monkeypatch, capfd):
    def prints(self):
        os.write(1, b"noise\n")
        return load(self)

    load = BulkJob.load
    monkeypatch.setattr(BulkJob, "load", prints)
    outer = os.dup(1)
    orders_out, orders_in = os.pipe()
    job = json.dumps(BulkJob(run, tmp_path, device="cpu").to_json())
    os.write(orders_in, f'{job}\n"end"\n'.encode())
    try:
        assert worker.main(orders_out) == 0
    finally:
        os.dup2(outer, 1)
    found = capfd.readouterr()
    assert found.out == '"ready"\n'
    assert found.err == "noise\n"
