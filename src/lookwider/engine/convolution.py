"""A convolution for inference: normalisation folded in, residual and ReLU fused, weights packed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from lookwider.engine.prepared import Prepared
from lookwider.kernels.mkldnn import fused_convolution, mkldnn_enabled, packed_weight
from lookwider.kernels.pyramid import PyramidParts, convolved_grids, tap_weights
from lookwider.kernels.switches import enabled
from lookwider.kernels.winograd import (
    winograd_convolution,
    winograd_enabled,
    winograd_pays,
    winograd_weight,
)
from lookwider.layers.deferred import DeferredMap, Window, is_unobserved

WIDE, SLICES = 2048, 4
"""Input channels from which on windows of several cells are convolved in slices: oneDNN's kernels
lose a third of their speed on such weights."""


class FusedConv2d(nn.Conv2d):
    """``relu(convolution + residual)`` for inference, by the fastest way that is there.

    The weights are ordinary ones, to which PyTorch's own convolution is applied wherever no
    faster way is. What is prepared of them is made when it is first used, never stored, and made
    again when they were changed in place or replaced, but not after a write through ``.data``,
    which PyTorch does not count: call `forget_prepared` then.

    Args:
        convolution: whose geometry it has.
        weight: of the convolution, what follows it folded in.
        bias: the same.
        relu: rectify the result.
        winograd: by Winograd's algorithm: where it is faster (None), wherever it can be, or never.
    """

    _prepared: Prepared | None

    def __init__(
        self,
        convolution: nn.Conv2d,
        weight: Tensor,
        bias: Tensor | None,
        *,
        relu: bool = False,
        winograd: bool | None = None,
    ) -> None:
        nn.Module.__init__(self)
        vars(self).update(  # nn.Conv2d's own would draw random weights first
            {key: value for key, value in vars(convolution).items() if key in _GEOMETRY}
        )
        weight = weight.detach().contiguous(memory_format=torch.channels_last)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.register_parameter(
            "bias", None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)
        )
        self.relu, self.winograd = relu, winograd
        self.training = False
        self.forget_prepared()

    def forward(self, input: Tensor, residual: Tensor | None = None) -> Tensor:
        """Return the convolution, plus the residual, rectified on request.

        Shape:
            (N, C, h, w) -> (N, O, h', w'), as the residual.
        """
        maps = input
        if maps.dtype != self.weight.dtype:  # after a normalisation that autocast widened
            maps = maps.to(self.weight.dtype)
        if isinstance(maps, DeferredMap):
            if isinstance(maps.parts, PyramidParts) and self._may_prepare():
                return self._of_pyramid(maps.parts, residual)
            return self._plain(maps, residual)
        if not self._may_fuse(maps, residual):
            return self._plain(maps, residual)
        maps = maps.contiguous(memory_format=torch.channels_last)
        if self._by_winograd(maps):
            return self._winograd(maps, residual)
        if mkldnn_enabled(maps.dtype):
            return self._fused(maps, residual)
        return self._plain(maps, residual)

    def _plain(self, maps: Tensor, residual: Tensor | None) -> Tensor:
        found: Tensor = self._conv_forward(maps, self.weight, self.bias)
        return _finished(found, residual, relu=self.relu)

    def _may_fuse(self, maps: Tensor, residual: Tensor | None) -> bool:
        """Whether nothing follows the computation step by step, and the operators can do it."""
        given = (maps,) if residual is None else (maps, residual)
        return (
            enabled("engine")
            and self._may_prepare()
            and all(
                type(t) is Tensor
                and t.device.type == "cpu"
                and t.dtype == self.weight.dtype
                and t.numel() > 0
                and not (t.requires_grad and torch.is_grad_enabled())
                and is_unobserved(t)
                for t in given
            )
            and maps.dim() == 4
            and (residual is None or tuple(residual.shape) == self._shape(maps))
        )

    def _may_prepare(self) -> bool:
        """Whether nothing follows what is computed of the weights, and the window is a plain one.

        Derivatives in the weights must not end at what was prepared of them.
        """
        return (
            self.padding_mode == "zeros"
            and not isinstance(self.padding, str)
            and not (torch.is_grad_enabled() and any(t.requires_grad for t in self._weights()))
            and all(is_unobserved(t) for t in self._weights())
        )

    def _weights(self) -> list[Tensor]:
        return [self.weight] if self.bias is None else [self.weight, self.bias]

    def _prepared_now(self) -> Prepared:
        prepared = self._prepared
        if prepared is None or not prepared.is_of(self._weights()):
            prepared = self._prepared = Prepared(self._weights())
        return prepared

    @property
    def _window(self) -> Window:
        kernel, stride, padding, dilation = (
            (int(pair[0]), int(pair[1]))
            for pair in (self.kernel_size, self.stride, self.padding, self.dilation)
        )
        return Window(kernel, stride, padding, dilation)

    def _shape(self, maps: Tensor) -> tuple[int, ...]:
        window = self._window
        sides = (
            (side + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
            for side, kernel, stride, padding, dilation in zip(
                maps.shape[2:],
                window.kernel,
                window.stride,
                window.padding,
                window.dilation,
                strict=True,
            )
        )
        return (int(maps.shape[0]), self.out_channels, *sides)

    def _by_winograd(self, maps: Tensor) -> bool:
        dilation = self.dilation[0]
        return (
            self.winograd is not False
            and self._window == Window((3, 3), padding=(dilation,) * 2, dilation=(dilation,) * 2)
            and self.groups == 1
            and maps.dtype == torch.float32
            and (self.winograd is True or winograd_pays(maps, self.out_channels, dilation))
            and winograd_enabled()
        )

    def _winograd(self, maps: Tensor, residual: Tensor | None) -> Tensor:
        prepared = self._prepared_now()
        if prepared.transformed is None:
            prepared.transformed = winograd_weight(self.weight)
        found = winograd_convolution(
            maps,
            prepared.transformed,
            self.bias,
            dilation=self.dilation[0],
            relu=self.relu and residual is None,
        )
        return found if residual is None else _finished(found, residual, relu=self.relu)

    def _fused(self, maps: Tensor, residual: Tensor | None) -> Tensor:
        window, weights = self._window, self._packed_for(maps)
        if residual is not None and self.groups > 1:  # which the operators do not add to
            found = fused_convolution(maps, weights[0], self.bias, window, self.groups)
            return _finished(found, residual, relu=self.relu)
        slices = maps.chunk(len(weights), dim=1)
        bias, total = self.bias, residual
        if residual is not None:
            total = residual.contiguous(memory_format=torch.channels_last)
        for number, (part, weight) in enumerate(zip(slices, weights, strict=True), start=1):
            last = number == len(weights)
            total = fused_convolution(
                part, weight, bias, window, self.groups, add=total, relu=self.relu and last
            )
            bias = None
        assert total is not None
        return total

    def _packed_for(self, maps: Tensor) -> tuple[Tensor, ...]:
        """Return the weights, packed for maps of a size that comes twice in a row."""
        prepared = self._prepared_now()
        packed = prepared.packed
        if packed is not None and packed[0] == maps.shape and packed[1]:
            return packed[1]
        wide = self.in_channels >= WIDE and self.kernel_size != (1, 1) and self.groups == 1
        parts = self.weight.chunk(SLICES, dim=1) if wide else (self.weight,)
        single = maps.numel() == self.in_channels  # a cell, whose sums would be ordered otherwise
        if single or packed is None or packed[0] != maps.shape:
            prepared.packed = (maps.shape, ())
            return parts
        count, _, height, width = maps.shape
        ready = tuple(
            packed_weight(
                part.contiguous(),
                self._window,
                self.groups,
                (count, part.shape[1] * self.groups, height, width),
            )
            for part in parts
        )
        prepared.packed = (maps.shape, ready)
        return ready

    def _of_pyramid(self, parts: PyramidParts, residual: Tensor | None) -> Tensor:
        """Convolve the map alone, and add the grids' share, computed on their few cells."""
        prepared = self._prepared_now()
        if prepared.shares is None:
            prepared.shares = self._split([parts.maps, *parts.grids])
        convolution, taps = prepared.shares
        of_grids = convolved_grids(parts.grids, taps, parts.spread, self._window)
        found: Tensor = convolution(
            parts.maps, of_grids if residual is None else of_grids + residual
        )
        return found

    @torch.no_grad()
    def _split(self, parts: Sequence[Tensor]) -> tuple[FusedConv2d, list[Tensor]]:
        # made in inference mode, they could not be used where gradients reach the image
        with torch.inference_mode(mode=False):
            widths = [int(part.shape[1]) for part in parts]
            own, *grids = torch.split(self.weight, widths, dim=1)
            convolution = FusedConv2d(
                self, own.contiguous(), self.bias, relu=self.relu, winograd=self.winograd
            )
            convolution.in_channels = widths[0]
            return convolution, [tap_weights(part).contiguous() for part in grids]

    def forget_prepared(self) -> None:
        """Prepare the weights again when they are next used."""
        self._prepared = None

    def _apply(self, fn: Any, recurse: bool = True) -> FusedConv2d:
        """Move or convert the weights, of which all is then prepared again."""
        self.forget_prepared()
        moved: Any = super()
        return cast(FusedConv2d, moved._apply(fn, recurse))

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is prepared, which cannot be stored."""
        return {**vars(self), "_prepared": None}

    def extra_repr(self) -> str:
        """Show the convolution and what is fused into it."""
        convolution: Any = super()
        return f"{convolution.extra_repr()}, relu={self.relu}"


_GEOMETRY = frozenset(
    {
        *("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation"),
        *("transposed", "output_padding", "groups", "padding_mode"),
        "_reversed_padding_repeated_twice",
    }
)


def _finished(maps: Tensor, residual: Tensor | None, *, relu: bool) -> Tensor:
    if residual is not None:
        maps = maps.add_(residual) if maps.shape == residual.shape else maps + residual
    return maps.relu_() if relu else maps
