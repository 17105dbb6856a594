"""Weights, gradients and the optimiser's state spread over the devices: fully sharded training.

Each device keeps its share of every tensor, and the parts of the network are put together for as
long as they compute (Zhao et al. 2023, "PyTorch FSDP"). What is computed and saved is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.strategies import ModelParallelStrategy
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import (
    FSDPModule,
    fully_shard,
    register_fsdp_forward_method,
)
from torch.optim import Optimizer

from lookwider.models import Segmenter
from lookwider.training.batch_norms import SyncBatchNorms
from lookwider.training.distributed import TIMEOUT
from lookwider.training.hardware import uses_gpu
from lookwider.training.recomputing import blocks
from lookwider.training.task import SegmentationTask

WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)
"""States are put together for the main process, and shared out again by each."""


def shard(model: Segmenter, mesh: DeviceMesh) -> None:
    """Spread a model over devices, each block of its trunk by itself."""
    for block in blocks(model.get_submodule("backbone")):
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    register_fsdp_forward_method(model, "scores")


class ShardedTask(SegmentationTask):
    """The task, of whose model each device keeps its share."""

    def configure_model(self) -> None:
        """Spread the model over the devices; the trainer asks for it more than once."""
        if self.device_mesh is not None and not isinstance(self.model, FSDPModule):
            SyncBatchNorms(gpu=uses_gpu(self.config)).apply(self.model)
            shard(self.model, self.device_mesh["data_parallel"])


class ShardedStrategy(ModelParallelStrategy):
    """Lightning's strategy, with whole states in this package's folders.

    A run that was saved by it is continued by any other, and the other way round.

    Args:
        count: processes.
    """

    def __init__(self, count: int) -> None:
        super().__init__(count, 1, save_distributed_checkpoint=False, timeout=TIMEOUT)

    def save_checkpoint(
        self, checkpoint: dict[str, Any], filepath: str | Path, storage_options: Any = None
    ) -> None:
        """Write the state, which was put together for the main process."""
        if self.is_global_zero:
            self.checkpoint_io.save_checkpoint(checkpoint, filepath, storage_options)

    def load_checkpoint(
        self, checkpoint_path: str | Path, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read the state, of which each process keeps its share."""
        del weights_only
        checkpoint = self.checkpoint_io.load_checkpoint(checkpoint_path)
        module = self.lightning_module
        assert module is not None
        set_model_state_dict(module, checkpoint["state_dict"], options=WHOLE)
        for optimizer, state in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            names = _names(get_optimizer_state_dict(module, optimizer))
            named = _renamed(state, dict(enumerate(names)))
            set_optimizer_state_dict(module, optimizer, named, options=WHOLE)
        return dict(checkpoint)

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """Return the whole state in the main process, with numbers for names as optimisers have."""
        plain = getattr(optimizer, "_optimizer", optimizer)  # without the trainer's wrapper
        assert self.model is not None
        state = get_optimizer_state_dict(self.model, plain, options=WHOLE)
        if not self.is_global_zero:
            return {}
        return _renamed(state, {name: number for number, name in enumerate(_names(state))})


def _names(state: Mapping[str, Any]) -> list[Any]:
    """Return the names of an optimiser's parameters, in its order."""
    return [name for group in state["param_groups"] for name in group["params"]]


def _renamed(state: Mapping[str, Any], names: Mapping[Any, Any]) -> dict[str, Any]:
    """Return an optimiser's state with other names for its parameters."""
    return {
        "state": {names[name]: values for name, values in state["state"].items()},
        "param_groups": [
            group | {"params": [names[name] for name in group["params"]]}
            for group in state["param_groups"]
        ],
    }
