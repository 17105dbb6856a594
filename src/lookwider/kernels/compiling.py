"""How kernels are compiled by numba; imported only where `numba_enabled`."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(*, fastmath: Collection[str] = ()) -> Callable[[F], F]:
    """Return a decorator that compiles a function when it is first called, without the lock.

    Args:
        fastmath: LLVM's freedoms with floating point, e.g. ``"contract"`` for fused
            multiply-add; none by default, so that values equal PyTorch's bit for bit.
    """

    def decorate(function: F) -> F:
        allowed = set(fastmath)
        try:
            kernel = numba.njit(cache=True, nogil=True, fastmath=allowed)(function)
        except RuntimeError:  # no folder can be written to: compiled anew in each process
            kernel = numba.njit(nogil=True, fastmath=allowed)(function)
        return cast(F, kernel)

    return decorate
