"""What a module computes, as a graph of its layers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection
from typing import Any

from timm.layers.norm_act import BatchNormAct2d
from torch import fx, nn

from lookwider.backbones.chain import ConvReLU

LAYERS = (ConvReLU, BatchNormAct2d)
"""Modules that are one layer of a graph, beside PyTorch's own."""

_MOST_KINDS = 32
"""Kinds of modules of one network that may have to be left as they are."""


def traced(module: nn.Module) -> fx.GraphModule | None:
    """Return the graph of a module in evaluation mode; None where it decides by values.

    Parts that decide by values, such as the size of a map, stay modules of the graph.
    """
    opaque: set[type[nn.Module]] = set()
    for _ in range(_MOST_KINDS):
        tracer = _Tracer(opaque)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a forward that is not really run
                graph = tracer.trace(module)
        except Exception:  # a module may do anything with what is no tensor
            if not tracer.inside:
                return None
            opaque.add(type(tracer.inside[-1]))
        else:
            return fx.GraphModule(module, graph)
    return None


class _Tracer(fx.Tracer):
    """Follows a module into all parts but layers and what cannot be followed."""

    def __init__(self, opaque: Collection[type[nn.Module]] = ()) -> None:
        super().__init__()
        self.opaque = opaque
        self.inside: list[nn.Module] = []

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module is one node of the graph."""
        known = type(m) in self.opaque or isinstance(m, LAYERS)
        return known or super().is_leaf_module(m, module_qualified_name)

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Remember which module was being followed when it failed."""
        self.inside.append(m)
        found = super().call_module(m, forward, args, kwargs)
        self.inside.pop()
        return found
