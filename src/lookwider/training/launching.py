"""A process for each device of this machine, started and watched by torchrun's own launcher."""

from __future__ import annotations

import logging
import os
import signal
import sys
import uuid
from collections.abc import Sequence

import torch
from torch.distributed.elastic.multiprocessing import ProcessFailure, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from lookwider.training.distributed import LostProcessError

SETTINGS = {"TORCH_ELASTIC_SHUTDOWN_TIMEOUT": "600"}
"""Of the launcher, where not set: seconds to save after a request to stop, before it kills."""


def start_processes(count: int, command: Sequence[str]) -> int:
    """Run a command so many times at once, as ``torchrun`` does, and wait for all of them.

    Args:
        count: processes.
        command: a module that Python can run, and its words.

    Returns:
        the exit code: of the process that failed first, which has said why, or 0.

    Raises:
        LostProcessError: one was ended from outside; the others were ended too.
    """
    threads = {"OMP_NUM_THREADS": str(max(1, torch.get_num_threads() // count))}
    os.environ.update(SETTINGS | threads | dict(os.environ))
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
    )
    logging.disable()  # the launcher's words: the processes tell what matters themselves
    try:
        elastic_launch(config, sys.executable)("-m", *command)
    except SignalException as stopped:
        return 128 + stopped.sigval
    except ChildFailedError as failed:
        return _explain(failed, count)
    finally:
        logging.disable(logging.NOTSET)
    return 0


def _explain(failed: ChildFailedError, count: int) -> int:
    ended: list[ProcessFailure] = list(failed.failures.values())
    # When one fails the launcher ends the others by SIGTERM: those are no reason.
    failures = [failure for failure in ended if failure.exitcode != -signal.SIGTERM] or ended
    for failure in failures:
        if failure.exitcode < 0:
            memory = " (so does a system whose memory is full)" if failure.exitcode == -9 else ""
            raise LostProcessError(
                f"process {failure.local_rank + 1} of {count} was ended by "
                f"{failure.signal_name()}{memory}, and the others with it. "
                "Start the same command again to continue from the last saved state"
            )
    return int(failures[0].exitcode)
