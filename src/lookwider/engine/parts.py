"""The parts of a network, rewritten for inference: trunk, context and heads."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn

from lookwider.backbones import Backbone, Features
from lookwider.context import Context
from lookwider.engine.folding import optimised
from lookwider.errors import ConfigError
from lookwider.kernels.switches import enabled
from lookwider.layers.deferred import deferring

CHECKED_SIZE = (65, 49)
"""(height, width) of the noise that a rewritten part must see as before."""

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
"""What a network may compute in."""

NEAR = 1e-3
"""Largest difference, in largest values, that is rounding: a wrong graph differs by far more."""


class Parts(NamedTuple):
    """What a network is made of.

    Attributes:
        backbone: the trunk.
        context: the context module.
        heads: name -> head.
    """

    backbone: Backbone
    context: Context
    heads: dict[str, nn.Module]


class InferenceTrunk(nn.Module):
    """A rewritten trunk that declares what the original does.

    Args:
        original: the trunk as it was.
        trunk: what computes its maps now.
        dtype: in which it computes, until it is converted to another.
    """

    _example: Tensor

    def __init__(self, original: Backbone, trunk: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.layers, self.channels, self.grids = original.layers, original.channels, original.grids
        self.preprocessing = original.preprocessing
        self.trunk = trunk
        # a buffer: converted with the trunk, as by .double()
        self.register_buffer("_example", torch.empty(0, dtype=dtype), persistent=False)

    @property
    def dtype(self) -> torch.dtype:
        """In which it computes."""
        return self._example.dtype

    def forward(self, images: Tensor) -> Features:
        """Return the feature maps.

        Shape:
            (N, C, H, W) -> a tuple of (N, C_i, h_i, w_i).
        """
        maps: Features = self.trunk(images.to(self.dtype, memory_format=torch.channels_last))
        return maps


def compiled_parts(
    parts: Parts,
    *,
    dtype: torch.dtype,
    device: torch.device,
    winograd: bool | None = None,
) -> Parts:
    """Return parts that compute the same in evaluation mode; the originals stay as they are.

    Every rewritten part is run once beside the original on a small image of noise, and left out
    where their values differ. Under `torch.inference_mode` too the weights are ordinary tensors.

    Args:
        parts: of the network.
        dtype: to compute in.
        device: where they go.
        winograd: see `FusedConv2d`.
    """
    with torch.inference_mode(mode=False), torch.no_grad():
        plain = _copied(parts)
        if enabled("engine"):
            fast = map(_optimised, _copied(parts), plain, [winograd] * len(plain))
            plain = _checked(plain, Parts(*fast))
        kept = {_place(tensor) for part in _modules(parts) for tensor in _tensors(part)}
        for module in _modules(plain):
            _own_tensors(module, kept)
            module.to(device)
            _convert(module, dtype)
            for part in module.modules():
                if forget := getattr(part, "forget_prepared", None):
                    forget()
        trunk = InferenceTrunk(parts.backbone, _module(plain.backbone), dtype).to(device)
        return Parts(trunk, *plain[1:])


def inference_dtype(
    dtype: torch.dtype | Literal["auto"] | None, own: torch.dtype, device: torch.device
) -> torch.dtype:
    """Return what to compute in.

    Args:
        dtype: the dtype; ``"auto"`` for bfloat16 where the device has units for it; None for the
            weights' own.
        own: the weights' own.
        device: where it is computed.

    Raises:
        ConfigError: it is none of these.

    Example:
        >>> inference_dtype(None, torch.float32, torch.device("cpu"))
        torch.float32
    """
    if dtype is None:
        return own
    if dtype == "auto":
        if device.type == "cuda":
            return torch.bfloat16 if torch.cuda.is_bf16_supported() else own
        fast = device.type == "cpu" and torch.cpu._is_amx_tile_supported()
        return torch.bfloat16 if fast else own
    if dtype not in DTYPES:
        raise ConfigError(
            f"got dtype {dtype!r}, expected {', '.join(map(str, DTYPES))}, 'auto' or None"
        )
    return dtype


def _copied(parts: Parts) -> Parts:
    """Return other modules that share the tensors."""
    memo = {id(tensor): tensor for part in _modules(parts) for tensor in _tensors(part)}
    copies = copy.deepcopy(parts, memo)
    for module in _modules(copies):
        module.eval()
    return copies


def _optimised(part: Any, plain: Any, winograd: bool | None) -> Any:
    """Return a rewritten part; the plain one where that fails."""
    if isinstance(part, dict):
        return {name: _optimised(head, plain[name], winograd) for name, head in part.items()}
    try:
        return optimised(part, winograd=winograd)
    except Exception:  # code that nobody has tried: whatever is wrong, the part itself is right
        return plain


def _checked(plain: Parts, fast: Parts) -> Parts:
    """Return the fast parts where they see a small image as the plain ones do."""
    channels = plain.backbone.preprocessing.in_channels
    first = next(tensor for part in _modules(plain) for tensor in _tensors(part))
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, channels, *CHECKED_SIZE, generator=generator).to(first)
    with torch.inference_mode():
        try:
            features = plain.backbone(noise)
            trunk = fast.backbone if _agree(fast.backbone, (noise,), features) else plain.backbone
            scores = _scores(plain, features)
            same = _agree(lambda maps: _scores(fast, maps), (features,), scores)
        except Exception:  # the network as it is does not take such an image
            return plain
    rest = fast if same else plain
    return Parts(trunk, rest.context, rest.heads)


def _scores(parts: Parts, features: Features) -> Features:
    taken = all(getattr(head, "takes_deferred_maps", False) for head in parts.heads.values())
    with deferring() if taken else nullcontext():  # as the network itself will
        fused = parts.context.fuse(features, parts.context.summarise(features))
    heads = cast(Mapping[str, Callable[..., Any]], parts.heads)
    return tuple(head(fused, CHECKED_SIZE).scores for head in heads.values())


def _agree(function: Callable[..., Any], given: tuple[Any, ...], wanted: Features) -> bool:
    try:
        found = function(*given)
    except Exception:  # a graph that is not the module's may fail in any way
        return False
    return len(found) == len(wanted) and all(
        _near(a, b) for a, b in zip(found, wanted, strict=True)
    )


def _near(found: Tensor, wanted: Tensor) -> bool:
    if found.shape != wanted.shape or found.dtype != wanted.dtype:
        return False
    most = wanted.abs().max()
    return bool((found - wanted).abs().max() <= NEAR * most)  # never with a NaN


def _own_tensors(module: nn.Module, kept: set[int]) -> None:
    """Let nothing share its memory with the original, which may be trained on."""
    for part in module.modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            tensor = parameter.detach()
            own = tensor.clone() if _place(tensor) in kept else tensor
            part.register_parameter(name, nn.Parameter(own, requires_grad=False))
        for name, buffer in list(part.named_buffers(recurse=False)):
            if _place(buffer) in kept:
                part._buffers[name] = buffer.clone()


def _convert(module: nn.Module, dtype: torch.dtype) -> None:
    """Convert the weights of products; normalisations stay wide, which autocast relies on."""
    if dtype in (torch.float32, torch.float64):
        module.to(dtype)
        return
    for part in module.modules():
        if isinstance(part, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            part.to(dtype)


def _modules(parts: Parts) -> list[nn.Module]:
    return [_module(parts.backbone), _module(parts.context), *parts.heads.values()]


def _module(part: Any) -> nn.Module:
    return cast(nn.Module, part)


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
