"""The processes of a run: found by how they were started, connected, and what if one is lost.

``torchrun``, SLURM or the command line with ``devices=2`` starts a process for each device; each
finds the others by its environment.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.utilities import rank_zero_only
from torch import distributed

from lookwider.errors import ConfigError, LookwiderError
from lookwider.training.collectives import together
from lookwider.training.config import TrainConfig
from lookwider.training.hardware import uses_gpu

TIMEOUT = timedelta(minutes=10)
"""How long a process waits for the others: longer than saving and reading one batch take."""


class LostProcessError(LookwiderError):
    """Another process of the run ended, or does not answer any more."""


@dataclass(frozen=True)
class Processes:
    """The processes that train together, as they were started.

    Attributes:
        rank: this one, from 0: the main process, which alone writes and speaks.
        devices: processes on a machine, one for each device.
        nodes: machines.
        environment: of the launcher that started them; None for a single one.
    """

    rank: int
    devices: int
    nodes: int
    environment: ClusterEnvironment | None

    @property
    def count(self) -> int:
        """How many there are."""
        return self.devices * self.nodes

    def explain(self, cause: BaseException) -> str:
        """Return what a user reads about a lost one, with the connection's own words."""
        words = str(cause).strip().partition("\n")[0].partition(". This is typically")[0]
        return (
            f"process {self.rank + 1} of {self.count} stopped: another process of the run ended, "
            "or did not answer any more; its own message says why. Start the same command again "
            f"to continue from the last saved state. (The connection said: {words})"
        )


def find_processes(config: TrainConfig) -> Processes:
    """Return the processes of a run, from the environment where a launcher has started them.

    Raises:
        ConfigError: ``devices`` or ``batch_size`` does not fit what was started, or SLURM's
            settings are not those of one process for each device.
    """
    environment = launcher()
    if environment is None and config.devices > 1:
        raise ConfigError(
            f"got devices={config.devices}, but this is one process; the command `lookwider train` "
            f"starts one for each device, and so does torchrun --nproc-per-node {config.devices}"
        )
    if environment is None:
        return Processes(0, 1, 1, None)
    count = environment.world_size()
    nodes = _nodes(count)
    if config.devices not in (1, count // nodes):
        raise ConfigError(
            f"got devices={config.devices}, but {count // nodes} processes were started on each "
            "machine; leave devices out, the launcher decides it"
        )
    if config.batch_size % count:
        raise ConfigError(
            f"got batch_size={config.batch_size} for {count} processes, "
            f"expected a multiple of {count}: it is the total of all"
        )
    return Processes(environment.global_rank(), count // nodes, nodes, environment)


def launcher() -> ClusterEnvironment | None:
    """Return what started this process together with others, None when it was started alone.

    Raises:
        ConfigError: SLURM's settings are not those of one process for each device.
    """
    if TorchElasticEnvironment.detect():
        return TorchElasticEnvironment()
    if "SLURM_STEP_ID" not in os.environ or not SLURMEnvironment.detect():
        return None  # a batch script without srun runs one process, whatever was reserved
    if int(os.environ["SLURM_NTASKS"]) > 1 and "SLURM_NTASKS_PER_NODE" not in os.environ:
        raise ConfigError(
            f"got --ntasks={os.environ['SLURM_NTASKS']} of SLURM, expected --ntasks-per-node=N, "
            "one task for each device of a machine"
        )
    return SLURMEnvironment(auto_requeue=False)  # a stopped run is continued by its own command


def _nodes(count: int) -> int:
    """Return the machines of so many processes."""
    local = os.environ.get("LOCAL_WORLD_SIZE") or os.environ.get("SLURM_NTASKS_PER_NODE")
    return count // int(local or count)


@contextmanager
def connected(processes: Processes, config: TrainConfig) -> Iterator[None]:
    """Connect the processes for a while.

    Raises:
        LostProcessError: another one did not come, ended, or does not answer any more.
    """
    # what the trainer writes and says only once goes by this
    vars(rank_zero_only)["rank"] = processes.rank
    environment = processes.environment
    try:
        if environment is not None and processes.count > 1:
            os.environ["MASTER_ADDR"] = environment.main_address
            os.environ["MASTER_PORT"] = str(environment.main_port)
            if uses_gpu(config):
                torch.cuda.set_device(environment.local_rank())
            distributed.init_process_group(
                "nccl" if uses_gpu(config) else "gloo",
                rank=processes.rank,
                world_size=processes.count,
                timeout=TIMEOUT,
            )
        yield
    except RuntimeError as error:
        if processes.count == 1 or not of_a_lost_process(error):
            raise
        raise LostProcessError(processes.explain(error)) from error
    finally:
        if together():
            distributed.destroy_process_group()


def of_a_lost_process(error: RuntimeError) -> bool:
    """Whether an error came from the connection to the other processes.

    Example:
        >>> of_a_lost_process(RuntimeError("gloo/pair.cc: Connection closed by peer"))
        True
    """
    return isinstance(error, distributed.DistError) or any(
        word in str(error) for word in ("gloo", "NCCL", "Connection reset by peer")
    )
