"""Which fast paths are used: all, unless they are switched off to compare or to find a fault.

In Python by a ``with`` statement, for a whole process by the environment variable
``LOOKWIDER_WITHOUT``, a list such as ``labels,loss`` or ``all``. What is left out is computed by
the plain form, with the same result.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Literal, get_args

from lookwider.errors import ConfigError, check_choice

FastPath = Literal[
    "heads",
    "regions",
    "labels",
    "loss",
    "engine",
    "winograd",
    "training",
    "numba",
    "mkldnn",
    "triton",
]
"""The fast paths: heads without concatenation, region averages in one pass, labels and loss from
coarse scores, the inference engine, Winograd's convolutions, convolutions in training; and what
they are built with: numba's compiler, PyTorch's private mkldnn operators, Triton."""

VARIABLE = "LOOKWIDER_WITHOUT"
"""Environment variable that lists the paths that are left out."""

_without: ContextVar[frozenset[str]] = ContextVar("without", default=frozenset())


def enabled(path: FastPath) -> bool:
    """Whether a fast path may be used here.

    Raises:
        ConfigError: the environment variable names an unknown path.
    """
    return path not in _without.get() and path not in _left_out(os.environ.get(VARIABLE, ""))


@contextmanager
def without(*paths: FastPath) -> Iterator[None]:
    """Compute by the plain forms of these paths for a while, in this thread; of all, if none.

    Raises:
        ConfigError: a path is unknown.

    Example:
        >>> with without("labels"):
        ...     enabled("labels"), enabled("loss")
        (False, True)
    """
    for path in paths:
        check_choice("fast path", path, get_args(FastPath))
    token = _without.set(_without.get() | frozenset(paths or get_args(FastPath)))
    try:
        yield
    finally:
        _without.reset(token)


def numba_enabled() -> bool:
    """Whether kernels may be compiled by numba: it is there, and not switched off."""
    return enabled("numba") and _installed("numba")


def triton_enabled() -> bool:
    """Whether kernels for a GPU may be compiled by Triton: it is there, and not switched off."""
    return enabled("triton") and _installed("triton") and _builds_launchers()


@functools.cache
def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


@functools.cache
def _builds_launchers() -> bool:
    """Whether there are a C compiler and Python's headers: Triton starts kernels from C."""
    compilers = (os.environ.get("CC"), shutil.which("gcc"), shutil.which("clang"))
    return any(compilers) and Path(sysconfig.get_path("include"), "Python.h").is_file()


@functools.cache
def _left_out(text: str) -> frozenset[str]:
    names = frozenset(text.replace(",", " ").split())
    if names == {"all"}:
        return frozenset(get_args(FastPath))
    if unknown := names - frozenset(get_args(FastPath)):
        raise ConfigError(
            f"{VARIABLE}={text}: got {', '.join(sorted(unknown))}, expected all or some of "
            f"{', '.join(get_args(FastPath))}"
        )
    return names
