"""Maps that are put together only if something else than a convolution needs them.

A concatenation, or a normalised copy, of a large map costs more than what a linear layer makes of
it. Where that layer can be computed from the parts, the map itself is never needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol, Self, final

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.overrides import has_torch_function
from torch.utils._pytree import tree_map_only

Pair = tuple[int, int]


@dataclass(frozen=True)
class Window:
    """How a convolution's window moves: (rows, columns) of each.

    Attributes:
        kernel: cells that it weighs.
        stride: cells from one window to the next.
        padding: cells of zeros around the map.
        dilation: cells from one weight to the next.
    """

    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)

    @property
    def is_cell(self) -> bool:
        """Whether every window is a single cell of the map, without padding."""
        return self.kernel == (1, 1) and self.padding == (0, 0)


class Parts(Protocol):
    """What a map is put together from."""

    def like(self) -> tuple[Tensor, tuple[int, ...]]:
        """Return a tensor of the map's dtype and device, and the map's shape (N, C, h, w)."""
        ...

    def put_together(self) -> Tensor:
        """Return the map."""
        ...

    def convolved(self, weight: Tensor, bias: Tensor | None, window: Window) -> Tensor | None:
        """Return the map's convolution, of one group and padded by zeros; None if it cannot."""
        ...


def _refuse(cls: type, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    """Refuse what went around ``__torch_function__``: its gradients would be lost."""
    raise AssertionError(f"{func} was not told that its map is deferred")


@final
class DeferredMap(Tensor):
    """A map of which only the convolutions may ever be computed.

    It is a tensor to whoever uses it: every function but a convolution puts it together first,
    and from then on it is an ordinary tensor to convolutions too.

    Only functions of PyTorch are told of it. What takes it from C++, as
    `torch.autograd.Function.apply` and hooks of backward passes do, would lose its gradients, and
    gradients with respect to it are those of whoever put it together. So it is only given to layers
    that are known to convolve it and that nothing watches, see `deferring`.

    Attributes:
        parts: what it is put together from.
    """

    __torch_dispatch__: Any = classmethod(_refuse)
    parts: Parts
    _map: Tensor | None
    _modes: tuple[bool, bool]

    @staticmethod
    def __new__(cls: type[Self], parts: Parts) -> Self:
        """See the class."""
        like, shape = parts.like()
        made: Self = Tensor._make_wrapper_subclass(
            cls, torch.Size(shape), dtype=like.dtype, device=like.device
        )
        made.parts, made._map = parts, None
        made._modes = torch.is_inference_mode_enabled(), torch.is_grad_enabled()
        return made

    def __init__(self, parts: Parts) -> None:
        super().__init__()

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Compute a convolution from the parts, and anything else from the whole."""
        kwargs = kwargs or {}
        with torch._C.DisableTorchFunctionSubclass():
            if func in _KNOWN:
                return func(*args, **kwargs)
            deferred = args[0] if args else None  # not of a map that is given by its name
            if func is torch.conv2d and isinstance(deferred, cls) and deferred._map is None:
                found = _convolved(*args, **kwargs)
                if found is not None:
                    return found
            whole = tree_map_only(cls, lambda deferred: deferred.whole, (list(args), kwargs))
        return func(*whole[0], **whole[1])

    @property
    def whole(self) -> Tensor:
        """The map, put together when it is first asked for.

        Gradients are recorded, or not, as they were where it was deferred.
        """
        if self._map is None:
            inference, gradients = self._modes
            with torch.inference_mode(inference), torch.set_grad_enabled(gradients):
                self._map = self.parts.put_together()
        return self._map


_deferring: ContextVar[bool] = ContextVar("deferring", default=False)


@contextmanager
def deferring() -> Iterator[None]:
    """Let maps be deferred for a while, in this thread.

    For whoever hands them to layers that convolve them: everybody else gets ordinary tensors.
    """
    token = _deferring.set(True)
    try:
        yield
    finally:
        _deferring.reset(token)


def may_defer(maps: Tensor) -> bool:
    """Whether a map may be deferred: within `deferring`, where the computation `is_unobserved`."""
    return _deferring.get() and is_unobserved(maps)


def is_unobserved(maps: Tensor) -> bool:
    """Whether nothing follows what is computed of a map step by step.

    Receptive fields are traced, networks compiled and exported, and functions transformed
    (`torch.func`, forward-mode derivatives) in the plain form.
    """
    return (
        not torch.compiler.is_compiling()
        and not torch._C._is_tracing()
        and not torch._C._are_functorch_transforms_active()
        and forward_ad._current_level < 0
        and type(maps) in (Tensor, torch.nn.Parameter)
        and maps.device.type != "meta"
        and not has_torch_function((maps,))
    )


def _convolved(
    maps: DeferredMap,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    **names: Any,
) -> Tensor | None:
    """Return a convolution computed from the parts, or None where the map is needed."""
    if names or groups != 1 or isinstance(padding, str) or weight.shape[1] != maps.shape[1]:
        return None
    kernel = (int(weight.shape[2]), int(weight.shape[3]))
    window = Window(kernel, _pair(stride), _pair(padding), _pair(dilation))
    return maps.parts.convolved(weight, bias, window)


def _pair(value: int | Sequence[int]) -> Pair:
    if isinstance(value, int):
        return value, value
    return int(value[0]), int(value[-1])


_ANY_TENSOR: Any = Tensor
_KNOWN = frozenset(
    {
        *(getattr(_ANY_TENSOR, name).__get__ for name in ("shape", "dtype", "device", "ndim")),
        *(Tensor.size, Tensor.dim),
    }
)
"""What is known of a map that was not put together."""
