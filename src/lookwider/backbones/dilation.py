"""Dilate a trunk by its structure: strides become dilations, whatever the layers are called.

Every convolution or pooling whose output would be coarser than the wanted stride stops striding;
everything after it spreads its window so that it sees the same places ("a trous").
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from torch import nn

from lookwider.errors import ConfigError
from lookwider.layers.receptive_fields import trace_fields

Dilation = Literal["published", "torchvision"]
"""Of the layers that no longer stride: ``"published"``: they are dilated as those after them
(PSPNet: 2 in all of stage 4, 4 in all of stage 5); ``"torchvision"``: they keep the dilation of
those before them, as in torchvision and timm, so that every 8th, 16th, ... cell is unchanged."""

_TRACED_SIZE, _ODD_SIZE = (224, 224), (33, 65)

_Window = nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d


def dilate(
    network: nn.Module,
    output_stride: int,
    rule: Dilation,
    *,
    in_channels: int = 3,
    name: str = "this trunk",
) -> None:
    """Change a network in place so that no map is coarser than ``output_stride``.

    Args:
        network: any network of convolutions and poolings on (N, C, H, W) images.
        output_stride: the coarsest stride, such as 8 or 16.
        rule: what is done to the layers that strided.
        in_channels: bands of the image.
        name: of the network, for messages.

    Raises:
        ConfigError: the network cannot be dilated: it strides by something else than
            convolutions and maximum poolings, or a window of it has no dilation.
    """
    for layer, window, stride_in, stride_out in _windows(network, in_channels):
        before, after = _excess(stride_in, output_stride), _excess(stride_out, output_stride)
        if after == 1:
            continue
        if before != 1 and before * output_stride != stride_in:
            raise ConfigError(_cannot(name, output_stride, f"{layer} strides by {stride_in:g}"))
        factor = after if rule == "published" else before
        if isinstance(window, nn.AvgPool2d):
            if _pair(window.kernel_size) != (1, 1):
                problem = f"{layer} is an average pooling, which cannot be dilated"
                raise ConfigError(_cannot(name, output_stride, problem))
            continue
        _spread(window, factor, keep=stride_out <= output_stride)
    problem = "it strides by something else than padded convolutions and maximum poolings"
    try:
        traced = trace_fields(network, in_channels, _TRACED_SIZE)
        outputs = [layer for key, layer in traced.items() if not key or key.startswith("[")]
        if any(min(layer.shape[-2:]) * layer.rows.stride < min(_TRACED_SIZE) for layer in outputs):
            problem = "windows of even size or without padding would lose cells at the border"
            raise ConfigError(_cannot(name, output_stride, problem))
        trace_fields(network, in_channels, _ODD_SIZE)
    except (AssertionError, RuntimeError) as error:
        raise ConfigError(_cannot(name, output_stride, problem)) from error
    coarsest = max((layer.rows.stride for layer in traced.values()), default=0)
    if coarsest != output_stride:
        problem = f"its coarsest stride is {coarsest:g} after dilating its convolutions"
        raise ConfigError(_cannot(name, output_stride, problem))


def move_strides_to_1x1(network: nn.Module) -> None:
    """Let bottlenecks stride in their first convolution, the 1 x 1, as Caffe's ResNets do.

    Raises:
        ConfigError: the network has no bottleneck that strides in its 3 x 3 convolution.
    """
    moved = False
    for block in network.modules():
        first, second = getattr(block, "conv1", None), getattr(block, "conv2", None)
        if not isinstance(first, nn.Conv2d) or not isinstance(second, nn.Conv2d):
            continue
        if _pair(first.kernel_size) == (1, 1) and _pair(second.stride) != (1, 1):
            first.stride, second.stride = second.stride, (1, 1)
            moved = True
    if not moved:
        raise ConfigError(
            "stride_on='1x1' needs a trunk of bottlenecks such as resnet50_psp; use "
            "stride_on='3x3', which leaves the trunk as it is"
        )


def _windows(network: nn.Module, in_channels: int) -> Iterator[tuple[str, _Window, float, float]]:
    """Yield name, layer and strides before and after of the windows, as they are executed."""
    traced = trace_fields(network, in_channels, _TRACED_SIZE)
    modules = dict(network.named_modules())
    for name, layer in traced.items():
        window = modules.get(name)
        if isinstance(window, _Window):
            after = layer.rows.stride
            yield name, window, after / _pair(window.stride)[0], after


def _excess(stride: float, output_stride: int) -> int:
    """Return how many times coarser than wanted a map would be."""
    return max(1, int(stride // output_stride))


def _spread(window: nn.Conv2d | nn.MaxPool2d, factor: int, *, keep: bool) -> None:
    """Stop a layer from striding and spread its window; its map keeps its size."""
    if not keep:
        window.stride = (1, 1) if isinstance(window, nn.Conv2d) else 1
    kernel, dilation = _pair(window.kernel_size), _pair(window.dilation)
    window.dilation = _times(dilation, factor, kernel)
    if not isinstance(window.padding, str):
        window.padding = _times(_pair(window.padding), factor, kernel)


def _times(values: tuple[int, int], factor: int, kernel: tuple[int, int]) -> tuple[int, int]:
    """Multiply along the axes where the window is wider than one cell."""
    rows, cols = (v * factor if k > 1 else v for v, k in zip(values, kernel, strict=True))
    return rows, cols


def _pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _cannot(name: str, output_stride: int, problem: str) -> str:
    return (
        f"{name} cannot be dilated to output_stride={output_stride}: {problem}; use a trunk of "
        "plain convolutions such as resnet18, resnet50_psp or mobilenetv2_100, or a coarser "
        "output_stride"
    )
