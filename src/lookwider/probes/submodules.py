"""The parts of a network by name, those without a place in the image included."""

from __future__ import annotations

from torch import Tensor, nn

from lookwider.errors import LookwiderError
from lookwider.layers.receptive_fields import named_tensors
from lookwider.probes.layer_names import full_name
from lookwider.probes.network import Network


def find_submodule(network: Network, name: str) -> tuple[str, nn.Module]:
    """Return a part's full name and the part; the end of a name is enough where one ends so.

    A name may end in ``[0]`` or ``[key]``, for one of several outputs. Unlike `Network.layer` it
    also finds what has no place in the image, such as the average of a whole map.

    Raises:
        ConfigError: there is no such part, or several; the message lists the closest.

    Example:
        >>> network = Network(nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(1)))
        >>> find_submodule(network, "1")[1]
        AdaptiveAvgPool2d(output_size=1)
    """
    parts = {full: part for full, part in network.module.named_modules() if full}
    plain, bracket, rest = name.partition("[")
    full = full_name(plain, parts, network.name)
    return full + bracket + rest, parts[full]


def output_of(layer: str, output: object) -> Tensor:
    """Return the tensor that a layer's name means among what its module returned.

    Raises:
        LookwiderError: the module returned no such tensor.

    Example:
        >>> import torch
        >>> output_of("head[aux]", {"aux": torch.ones(2)})
        tensor([1., 1.])
    """
    bracket = layer[layer.index("[") :] if layer.endswith("]") else ""
    tensors = dict(named_tensors(output))
    if bracket not in tensors:
        known = ", ".join(key or "a tensor" for key in tensors) or "no tensor"
        raise LookwiderError(
            f"layer {layer!r} returned {known}; name one of its outputs, as in "
            f"{layer.partition('[')[0]}[0]"
        )
    return tensors[bracket]
