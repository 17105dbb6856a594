"""The process of one worker: ``python -m lookwider.inference.bulk.worker``.

It reads lines of JSON from its input: the job, then tasks; and writes lines to its output: one
when the model is loaded, one for each task that is done, one when it cannot go on.
"""

from __future__ import annotations

import dataclasses
import json
import os
import queue
import sys
import threading
import traceback
from collections.abc import Sequence

from lookwider.errors import LookwiderError, MissingExtraError
from lookwider.inference.bulk.attempts import Attempts
from lookwider.inference.bulk.network import DeviceLostError
from lookwider.inference.bulk.orders import END, READY, Work, work_of
from lookwider.inference.bulk.records import reason_of
from lookwider.processes import ERROR, die

FAILED = 2
"""Exit code of a worker that cannot go on; its last words begin with `ERROR`."""

ABANDONED = 130
"""Exit code of a worker whose job is gone."""


def main(orders: int = 0, answers: int | None = None) -> int:
    """Do what a bulk job orders; return the exit code.

    Args:
        orders: descriptor to read from, standard input.
        answers: descriptor to write to; standard output when None, and what else is printed there
            then goes to the messages.
    """
    if answers is None:
        answers = os.dup(1)
        os.dup2(2, 1)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    begun: list[Attempts] = []
    threading.Thread(target=_listen, args=(orders, lines, begun), daemon=True).start()
    try:
        with work_of(json.loads(lines.get())) as work:
            begun.append(work.attempts)
            _answer(answers, READY)
            _work(work, lines, answers)
    except Exception as error:  # the last words are read from the log
        if not isinstance(error, (LookwiderError, MissingExtraError)):
            traceback.print_exc()
        print(f"{ERROR}{reason_of(error)}", file=sys.stderr, flush=True)
        if isinstance(error, DeviceLostError):
            die()
        return FAILED
    return 0


def _work(work: Work, lines: queue.SimpleQueue[str], answers: int) -> None:
    """Take up tasks as they come, until the order to end."""
    ended = False
    while not (ended and work.idle):
        try:
            order = json.loads(lines.get(block=work.idle))
        except queue.Empty:
            order = None
        ended = ended or order == END
        for number, records in work.take(order if isinstance(order, list) else None):
            _answer(answers, [number, [dataclasses.asdict(record) for record in records]])


def _answer(descriptor: int, answer: object) -> None:
    data = json.dumps(answer).encode() + b"\n"
    while data:
        data = data[os.write(descriptor, data) :]


def _listen(descriptor: int, lines: queue.SimpleQueue[str], begun: Sequence[Attempts]) -> None:
    """Put the orders in a queue; end this process when nobody can give any more.

    At once: results are written aside, so nothing is left half done. No image is to blame for it.
    """
    with os.fdopen(descriptor, "rb", closefd=False) as file:
        for line in file:
            lines.put(line.decode())
            if json.loads(line) == END:
                return
    for attempts in begun:
        attempts.abandon()
    os._exit(ABANDONED)


if __name__ == "__main__":
    sys.exit(main())
