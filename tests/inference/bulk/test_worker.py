"""The process of a worker: orders in, answers out, and its end with the job."""

import json
import os
import subprocess
import threading

import pytest
from tests.inference.bulk import small

from lookwider.errors import LookwiderError
from lookwider.inference.bulk import BulkJob, worker
from lookwider.inference.bulk.local import WORKER
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
    def fail(self, job):
        raise error

    monkeypatch.setattr(Pipeline, "__init__", fail)
    assert answers_to([BulkJob(run, tmp_path).to_json()]) == (2, [])
    assert capfd.readouterr().err.endswith(said)


def test_it_ends_at_once_when_its_job_is_gone(monkeypatch):
    codes = []
    ended = threading.Event()
    monkeypatch.setattr(worker.os, "_exit", lambda code: (codes.append(code), ended.set()))
    orders_out, orders_in = os.pipe()
    os.write(orders_in, b'"a batch"\n')
    os.close(orders_in)
    worker._listen(orders_out, worker.queue.SimpleQueue())
    assert ended.is_set()
    assert codes == [130]
    os.close(orders_out)


@pytest.mark.slow
def test_what_others_print_is_no_answer(run, tmp_path):
    job = json.dumps(BulkJob(run, tmp_path, device="cpu").to_json())
    found = subprocess.run(
        WORKER,
        input=f'{job}\n"end"\n'.encode(),
        capture_output=True,
        check=True,
    )
    assert found.stdout == b'"ready"\n'
