"""Dense prediction from coarse outputs: shift-and-stitch, and the same by dilation.

FCN (Long et al. 2015), section 3.2: outputs of a network that subsamples by f become dense by
running it on f x f shifted inputs and interlacing the outputs, "so that predictions correspond to
the pixels at the centers of their receptive fields"; or by setting strides to 1 and rarefying the
later filters ("a trous"). Both give the same numbers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from lookwider.errors import LookwiderError
from lookwider.layers.grids import Grid
from lookwider.layers.receptive_fields import trace_fields


def shift_and_stitch(
    network: Callable[[Tensor], Tensor], images: Tensor, stride: int, factor: int | None = None
) -> Tensor:
    """Run a network on shifted images and interlace its outputs.

    Args:
        network: maps (N, C, H, W) images to (N, K, h, w), subsampling by ``stride``.
        images: the images.
        stride: the network's stride f.
        factor: how many times denser the output is along each axis, a divisor of the stride;
            the stride itself for an output at every pixel.

    Shape:
        (N, C, H, W) -> (N, K, h', w') on `stitched_grid`: the first cell stays where it was and
        the stride is divided by the factor.

    Raises:
        LookwiderError: the factor does not divide the stride.
    """
    factor = stride if factor is None else factor
    if factor < 1 or stride % factor:
        raise LookwiderError(
            f"got factor {factor}, expected a divisor of the network's stride {stride}"
        )
    step = stride // factor
    columns = []
    for down in range(factor):
        row = []
        for right in range(factor):
            # shifted by zeros at the top and left, as the paper does
            shifted = functional.pad(images, (right * step, 0, down * step, 0))
            row.append(network(shifted))
        columns.append(_interlaced(row, axis=-1))
    return _interlaced(columns, axis=-2)


def stitched_grid(grid: Grid, factor: int) -> Grid:
    """Return the grid of `shift_and_stitch`'s output from the network's own."""
    return Grid(grid.stride / factor, grid.offset)


def _interlaced(shifted: list[Tensor], axis: int) -> Tensor:
    """Interlace outputs along an axis: cell i of shift p lies at ``factor * i - p``.

    Cells before the first are those that saw nothing but the shift's zeros; they are left out.
    """
    factor = len(shifted)
    last = max(factor * (maps.shape[axis] - 1) - p for p, maps in enumerate(shifted))
    shape = list(shifted[0].shape)
    shape[axis] = last + 1
    result = shifted[0].new_full(shape, torch.nan)
    for p, maps in enumerate(shifted):
        start = (factor - p) % factor
        places = torch.tensor(range(start, last + 1, factor), dtype=torch.long, device=maps.device)
        first = 1 if p else 0
        kept = maps.narrow(axis, first, len(places))
        result = result.index_copy(axis, places, kept)
    return result


def at_stride_one(network: nn.Module, in_channels: int = 3) -> nn.Module:
    """Return a copy of a chain of layers with all strides 1 and the later filters rarefied.

    Every convolution and max pooling of stride s becomes stride 1, and all layers after it are
    dilated s times. Padding grows alike. The layers are taken in the order of the module tree, in
    which a chain executes them.

    Args:
        network: a chain of convolutions, max poolings and pointwise layers.
        in_channels: bands of its input.

    Raises:
        LookwiderError: a layer cannot be rewritten (average pooling), or the modules are not one
            chain, so that the result would not have stride 1.
    """
    dense = copy.deepcopy(network)
    dilation = 1
    for name, module in dense.named_modules():
        if isinstance(module, nn.Conv2d):
            stride = _square(module.stride, name)
            module.stride = (1, 1)
            module.dilation = tuple(d * dilation for d in module.dilation)
            if not isinstance(module.padding, str):
                module.padding = tuple(p * dilation for p in module.padding)
                module._reversed_padding_repeated_twice = [
                    p for p in reversed(module.padding) for _ in range(2)
                ]
            dilation *= stride
        elif isinstance(module, nn.MaxPool2d):
            stride = _square(module.stride, name)
            module.stride, module.ceil_mode = 1, False
            module.dilation = _square(module.dilation, name) * dilation
            module.padding = _square(module.padding, name) * dilation
            dilation *= stride
        elif isinstance(module, (nn.AvgPool2d, nn.ConvTranspose2d, nn.Upsample)):
            raise LookwiderError(
                f"layer {name!r} ({type(module).__name__}) cannot be rewritten at stride 1; "
                "use shift_and_stitch instead"
            )
    side = 2 * dilation * 32
    for layer in trace_fields(dense, in_channels, size=(side, side)).values():
        if layer.rows.stride != 1 or layer.cols.stride != 1:
            raise LookwiderError(
                "the module is not one chain of layers, so it cannot be rewritten at stride 1; "
                "use shift_and_stitch instead"
            )
    return dense


def _square(value: int | tuple[int, ...], name: str) -> int:
    values = (value,) if isinstance(value, int) else value
    if len(set(values)) != 1:
        raise LookwiderError(f"layer {name!r} has {values}, expected the same for rows and columns")
    return values[0]
