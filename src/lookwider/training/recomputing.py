"""Less memory for more time: what a trunk computed inside is computed again in the backward pass.

Training keeps every map of the forward pass for the backward pass. Here a trunk's blocks forget
theirs and keep what went in (Chen et al. 2016, "Training deep nets with sublinear memory cost").
The gradients are the same to the last bit: random numbers are drawn as before, and what a block
remembers, such as the running statistics of its norms, changes once and not again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lookwider.backbones import Features
from lookwider.backbones.chain import ChainBackbone
from lookwider.errors import ConfigError

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


@contextmanager
def recomputed_activations(trunk: nn.Module) -> Iterator[None]:
    """Let the blocks of a trunk forget what they computed inside, for a while.

    Args:
        trunk: of any kind: chains of layers forget what lies between two poolings, others what
            lies within a block.

    Raises:
        ConfigError: the trunk is a row of single layers.
    """
    forwards = _forwards(trunk)
    if not forwards:
        raise ConfigError(
            "checkpoint_activations=true: got a trunk of single layers, expected one of blocks, "
            "such as resnet50; leave it out, or use backbone=vgg16 for a VGG"
        )
    before = {module: vars(module).get("forward") for module in forwards}
    for module, forward in forwards.items():
        # of the instance, not of its class; a copy of the model gets its own
        vars(module)["forward"] = forward
    try:
        yield
    finally:
        for module, own in before.items():
            del vars(module)["forward"]
            if own is not None:
                vars(module)["forward"] = own


def _forwards(trunk: nn.Module) -> dict[nn.Module, Callable[..., Any]]:
    """Return the modules that forget, and how each computes meanwhile."""
    if not isinstance(trunk, ChainBackbone):
        return {part: functools.partial(_recomputed, part.forward, part) for part in blocks(trunk)}
    forward = trunk.forward
    if getattr(forward, "__func__", None) is ChainBackbone.forward:
        return {trunk: functools.partial(_chain_forward, trunk)}
    return {trunk: functools.partial(_recomputed, forward, trunk)}  # its stages are unknown


def blocks(trunk: nn.Module) -> list[nn.Module]:
    """Return the outermost modules of several layers that stand in a row, as residual blocks do.

    Of a network without such rows, its parts of several layers.

    Example:
        >>> from timm.models.resnet import BasicBlock
        >>> stage = nn.Sequential(BasicBlock(4, 4), BasicBlock(4, 4))
        >>> [type(block).__name__ for block in blocks(nn.Sequential(nn.Conv2d(3, 4, 1), stage))]
        ['BasicBlock', 'BasicBlock']
    """
    network = getattr(trunk, "network", trunk)
    assert isinstance(network, nn.Module)
    parts = [part for part in network.children() if next(part.children(), None) is not None]
    return list(_in_a_row(network)) or parts


def _in_a_row(network: nn.Module) -> Iterator[nn.Module]:
    for module in network.children():
        several = next(module.children(), None) is not None
        if several and type(network) in CONTAINERS and type(module) not in CONTAINERS:
            yield module
        else:
            yield from _in_a_row(module)


def stages(trunk: ChainBackbone) -> list[dict[str, nn.Module]]:
    """Return the layers of a chain in groups, which end at poolings and at the returned maps."""
    found: list[dict[str, nn.Module]] = [{}]
    for name, layer in trunk.named_children():
        found[-1][name] = layer
        if "pool" in name or name in trunk.layers:
            found.append({})
        if name == trunk.layers[-1]:
            break
    return [stage for stage in found if stage]


def recomputed(module: nn.Module, *inputs: Any, **options: Any) -> Any:
    """Return what a module computes, and compute it again when gradients are wanted."""
    return _recomputed(module.forward, module, *inputs, **options)


def _recomputed(
    forward: Callable[..., Any], module: nn.Module, *inputs: Any, **options: Any
) -> Any:
    """Return what a module computes by its forward method or by one that stands in for it."""
    if not torch.is_grad_enabled():
        return forward(*inputs, **options)
    before = {name: buffer.clone() for name, buffer in module.named_buffers()}
    return checkpoint(
        forward,
        *inputs,
        use_reentrant=False,
        context_fn=lambda: (nullcontext(), _EarlierBuffers(module, before)),
        **options,
    )


class _EarlierBuffers:
    """Puts copies of earlier buffers in place of a module's for a while.

    It is entered as often as the module computes again: once for every backward pass.
    """

    def __init__(self, module: nn.Module, before: dict[str, Tensor]) -> None:
        self.before = before
        self.owners = {
            name: (module.get_submodule(name.rpartition(".")[0])._buffers, name.rpartition(".")[2])
            for name in before
        }
        self.now: dict[str, Tensor | None] = {}

    def __enter__(self) -> None:
        self.now = {name: owned[key] for name, (owned, key) in self.owners.items()}
        for name, (owned, key) in self.owners.items():
            owned[key] = self.before[name].clone()

    def __exit__(self, *error: object) -> None:
        for name, (owned, key) in self.owners.items():
            owned[key] = self.now[name]


def _chain_forward(trunk: ChainBackbone, images: Tensor) -> Features:
    """As `ChainBackbone.forward`, a stage at a time."""
    maps, found = images, {}
    for stage in stages(trunk):
        maps = recomputed(nn.Sequential(*stage.values()), maps)
        found[list(stage)[-1]] = maps
    return tuple(found[name] for name in trunk.layers)
