"""What the nodes of a graph do, and a graph without operations in place.

A value that is changed in place is another value to all that use it later. Written so, layers can
be joined and moved without looking at their order.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Collection
from typing import Any, Literal

import torch
from timm.layers.drop import DropPath
from timm.layers.norm_act import BatchNormAct2d
from torch import fx, nn
from torch.nn import functional

from lookwider.backbones.chain import ConvReLU
from lookwider.engine.tracing import LAYERS

Kind = Literal["convolution", "norm", "relu", "add", "nothing", "other"]

_KINDS: dict[type[nn.Module], Kind] = {
    nn.Conv2d: "convolution",
    ConvReLU: "convolution",
    nn.BatchNorm2d: "norm",
    nn.SyncBatchNorm: "norm",
    nn.ReLU: "relu",
    nn.Identity: "nothing",
    nn.Dropout: "nothing",
    nn.Dropout2d: "nothing",
    DropPath: "nothing",
}
"""Exact types: a subclass may compute something else."""

_RELUS: tuple[Any, ...] = (functional.relu, functional.relu_, torch.relu, torch.relu_)
_ADDITIONS: tuple[Any, ...] = (operator.add, operator.iadd, torch.add)
_OUT_OF_PLACE: dict[Any, Callable[..., Any]] = {
    operator.iadd: operator.add,
    operator.isub: operator.sub,
    operator.imul: operator.mul,
    operator.itruediv: operator.truediv,
    functional.relu_: functional.relu,
    torch.relu_: torch.relu,
}
_METHODS: dict[str, Callable[..., Any]] = {
    "add_": torch.add,
    "mul_": torch.mul,
    "relu_": torch.relu,
    "sub_": torch.sub,
}


_NEW: tuple[Any, ...] = (
    *_RELUS,
    *_ADDITIONS,
    *_OUT_OF_PLACE.values(),
    *_METHODS.values(),
    torch.cat,
    functional.interpolate,
)
_MAY_RETURN_THE_INPUT = (
    *(nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout),
    *(nn.FeatureAlphaDropout, nn.Flatten, nn.Unflatten, nn.Sequential, nn.ModuleList),
)


def kind_of(node: fx.Node, modules: dict[str, nn.Module]) -> Kind:
    """Return what a node does, in evaluation mode."""
    if node.op == "call_module":
        module = modules.get(str(node.target))  # none: it is fused already
        if module is None or has_hooks(module):
            return "other"
        kind = _KINDS.get(type(module), "other")
        tracked = getattr(module, "running_mean", None) is not None
        return "other" if kind == "norm" and not tracked else kind
    if node.op == "call_function" and node.target in _RELUS:
        return "relu"
    if node.op == "call_function" and node.target is functional.dropout:
        given = [*node.args[2:3], node.kwargs.get("training")]
        return "nothing" if False in given else "other"
    maps = len(node.args) == 2 and all(isinstance(a, fx.Node) for a in node.args)
    if node.op == "call_function" and node.target in _ADDITIONS and maps and not node.kwargs:
        return "add"
    return "other"


def has_hooks(module: nn.Module) -> bool:
    """Whether something else is run with a module's forward."""
    return bool(module._forward_hooks or module._forward_pre_hooks)


def without_changes_in_place(network: fx.GraphModule) -> bool:
    """Let every node give a new value; return whether all could be rewritten so."""
    modules = dict(network.named_modules())
    return all(_rewritten(network, node, modules) for node in list(network.graph.nodes))


def _rewritten(network: fx.GraphModule, node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    if node.op == "call_module" and getattr(modules[str(node.target)], "inplace", False):
        changed: Any = copy.copy(modules[str(node.target)])
        changed.inplace = False
        replace_module(network, str(node.target), changed)
    elif node.op == "call_function" and node.kwargs.get("inplace") is True:
        node.kwargs = {**node.kwargs, "inplace": False}
    elif node.target is functional.dropout and node.args[3:] == (True,):
        node.args = node.args[:3]
    elif node.op == "call_function" and node.target in _OUT_OF_PLACE:
        node.target = _OUT_OF_PLACE[node.target]
    elif node.op == "call_method" and str(node.target) in _METHODS:
        node.op, method = "call_function", str(node.target)
        node.target = _METHODS[method]
    else:
        return not _changes_in_place(node)
    changed = input_of(node)
    if changed is None:
        return True
    nodes = list(node.graph.nodes)
    before, later = set(nodes[: nodes.index(node)]), nodes[nodes.index(node) + 1 :]
    others = _sharing(changed, before, modules) - {changed}
    if changed.op == "get_attr" or any(user in later for one in others for user in one.users):
        return False  # what else shows the change would not show it as a new value
    for user in later:
        user.replace_input_with(changed, node)
    return True


def input_of(node: fx.Node) -> fx.Node | None:
    """Return the first argument of a node, by its place or as ``input``, if it is a node."""
    found = node.args[0] if node.args else node.kwargs.get("input")
    return found if isinstance(found, fx.Node) else None


def _sharing(
    node: fx.Node, before: Collection[fx.Node], modules: dict[str, nn.Module]
) -> set[fx.Node]:
    """Return all of some nodes that may share memory with one, as parts or views of it."""
    found, ahead = {node}, [node]
    while ahead:
        one = ahead.pop()
        near = [user for user in one.users if user in before and not _is_new(user, modules)]
        near += [] if _is_new(one, modules) else one.all_input_nodes
        ahead += [other for other in near if other not in found]
        found.update(near)
    return found


def _is_new(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    """Whether a node's value surely shares no memory with what it is computed from."""
    if node.op == "call_module":
        kind = type(modules.get(str(node.target)))
        known = kind in LAYERS or kind.__module__.startswith("torch.nn.modules")
        return known and kind not in _MAY_RETURN_THE_INPUT
    return node.op == "call_function" and node.target in _NEW


def _changes_in_place(node: fx.Node) -> bool:
    """Whether a node changes a value, as far as its name tells; modules are told by theirs."""
    if node.op == "call_method":
        name = str(node.target)
    elif node.op == "call_function":
        name = getattr(node.target, "__name__", "")
        if getattr(operator, name, None) is node.target and name in _OPERATORS_IN_PLACE:
            return True
        if node.kwargs.get("out") is not None:
            return True
    else:
        return False
    changing = name.endswith("_") and not name.endswith("__")
    return changing or name in ("setitem", "__setitem__")


_OPERATORS_IN_PLACE = frozenset(
    name for name in dir(operator) if name.startswith("i") and hasattr(operator, f"__{name}__")
) - {"index", "indexOf", "inv", "invert", "is_", "is_not"}


def split_norms(network: fx.GraphModule) -> None:
    """Make two layers of timm's batch normalisations with an activation."""
    for node in list(network.graph.nodes):
        if node.op != "call_module":
            continue
        name = str(node.target)
        module = network.get_submodule(name)
        if type(module) is not BatchNormAct2d or has_hooks(module):
            continue
        norm = nn.BatchNorm2d(module.num_features, eps=module.eps, device="meta")
        norm.weight, norm.bias = module.weight, module.bias
        norm.running_mean, norm.running_var = module.running_mean, module.running_var
        norm.num_batches_tracked = None
        network.add_submodule(f"{name}_norm", norm.eval())
        network.add_submodule(f"{name}_act", module.act)
        with network.graph.inserting_before(node):
            normed = network.graph.call_module(f"{name}_norm", (*node.args, *node.kwargs.values()))
            act = network.graph.call_module(f"{name}_act", (normed,))
        node.replace_all_uses_with(act)
        network.graph.erase_node(node)


def replace_module(network: fx.GraphModule, name: str, module: nn.Module) -> None:
    """Put a module where another is."""
    parent, _, own = name.rpartition(".")
    setattr(network.get_submodule(parent), own, module)
