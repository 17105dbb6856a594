"""Join what follows a convolution into it: normalisation, residual and ReLU.

Batch normalisation in evaluation mode is one factor and one addend per channel, so a convolution
followed by it is a convolution.
"""

from __future__ import annotations

import torch
from torch import Tensor, fx, nn

from lookwider.backbones.chain import ConvReLU
from lookwider.engine.convolution import FusedConv2d
from lookwider.engine.graphs import (
    Kind,
    has_hooks,
    input_of,
    kind_of,
    replace_module,
    split_norms,
    without_changes_in_place,
)
from lookwider.engine.tracing import traced


def optimised(module: nn.Module, *, winograd: bool | None = None) -> nn.Module:
    """Return a module that computes the same in evaluation mode, with its convolutions fused.

    What cannot be written as a graph of layers keeps its code, and its parts are optimised.

    Args:
        module: in evaluation mode; is taken apart.
        winograd: see `FusedConv2d`.
    """
    if any(has_hooks(part) for part in module.modules()):
        return module
    if type(module) in (nn.Conv2d, ConvReLU):
        return _alone(module, winograd)
    if type(module).__module__.startswith("torch.nn") and type(module) not in _CONTAINERS:
        return module
    network = None if type(module) in _LISTS else traced(module)
    if network is None or not without_changes_in_place(network):
        for name, child in list(module.named_children()):
            setattr(module, name, optimised(child, winograd=winograd))
        return module
    split_norms(network)
    _fuse(network, winograd)
    names = {str(node.target) for node in network.graph.nodes if node.op == "call_module"}
    for name in names:
        part = network.get_submodule(name)
        if not isinstance(part, FusedConv2d):
            replace_module(network, name, optimised(part, winograd=winograd))
    network.delete_all_unused_submodules()
    network.graph.lint()
    network.recompile()
    return network.eval()


_LISTS = (nn.ModuleList, nn.ModuleDict)
_CONTAINERS = (nn.Sequential, *_LISTS)


def folded(
    convolution: nn.Conv2d, norm: nn.BatchNorm2d | nn.SyncBatchNorm | None
) -> tuple[Tensor, Tensor | None]:
    """Return weight and bias of a convolution with the normalisation that follows it.

    Shape:
        (O, C / groups, kh, kw) and (O,).
    """
    weight, bias = convolution.weight.detach(), convolution.bias
    if norm is None:
        return weight, None if bias is None else bias.detach()
    assert norm.running_mean is not None
    assert norm.running_var is not None
    factor = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        factor = factor * norm.weight.detach().double()
    shift = -norm.running_mean.double() if bias is None else bias.double() - norm.running_mean
    shift = shift * factor
    if norm.bias is not None:
        shift = shift + norm.bias.detach().double()
    return weight * factor.to(weight.dtype)[:, None, None, None], shift.detach().to(weight.dtype)


def _alone(module: nn.Module, winograd: bool | None) -> nn.Module:
    assert isinstance(module, nn.Conv2d)
    relu = isinstance(module, ConvReLU)
    return FusedConv2d(module, *folded(module, None), relu=relu, winograd=winograd)


@torch.no_grad()
def _fuse(network: fx.GraphModule, winograd: bool | None) -> None:
    modules = dict(network.named_modules())
    for node in list(network.graph.nodes):
        given = input_of(node)
        if kind_of(node, modules) == "nothing" and given is not None:
            node.replace_all_uses_with(given)
            network.graph.erase_node(node)
    for number, node in enumerate(list(network.graph.nodes)):
        given = input_of(node)
        if kind_of(node, modules) == "convolution" and given is not None:
            name = f"{node.target}_fused_{number}"
            _fuse_one(network, node, given, name, modules, winograd)


def _fuse_one(
    network: fx.GraphModule,
    first: fx.Node,
    given: fx.Node,
    name: str,
    modules: dict[str, nn.Module],
    winograd: bool | None,
) -> None:
    """Put one layer where a convolution and what follows it alone ends."""
    convolution = modules[str(first.target)]
    assert isinstance(convolution, nn.Conv2d)
    chain, norm, residual = [first], None, None
    relu = isinstance(convolution, ConvReLU)
    if not relu:
        if follower := _only_user(first, "norm", modules):
            found = modules[str(follower.target)]
            assert isinstance(found, nn.BatchNorm2d | nn.SyncBatchNorm)
            norm = found
            chain.append(follower)
        if follower := _only_user(chain[-1], "add", modules):
            others = [arg for arg in follower.args if arg is not chain[-1]]
            if len(others) == 1:  # not a map added to itself
                residual = others[0]
                chain.append(follower)
        if follower := _only_user(chain[-1], "relu", modules):
            relu = True
            chain.append(follower)
    weight, bias = folded(convolution, norm)
    network.add_submodule(
        name, FusedConv2d(convolution, weight, bias, relu=relu, winograd=winograd)
    )
    inputs = (given,) if residual is None else (given, residual)
    with network.graph.inserting_before(chain[-1]):
        fused = network.graph.call_module(name, inputs)
    chain[-1].replace_all_uses_with(fused)
    for node in reversed(chain):
        network.graph.erase_node(node)


def _only_user(node: fx.Node, kind: Kind, modules: dict[str, nn.Module]) -> fx.Node | None:
    users = list(node.users)
    if len(users) != 1 or kind_of(users[0], modules) != kind:
        return None
    return users[0]
