"""What the pickle of a PyTorch file may name and call: as little as a state dict is made of.

torch.load with ``weights_only=True`` has a list too, a longer one (``bytearray(n)`` and
``torch.Tensor(n)`` are on it), and does not look at the arguments. Here they are compared with
what torch.save writes; nothing is looked up or called.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from lookwider.errors import CheckpointError

ELEMENT_BYTES = {
    "torch.DoubleStorage": 8,
    "torch.FloatStorage": 4,
    "torch.HalfStorage": 2,
    "torch.BFloat16Storage": 2,
    "torch.LongStorage": 8,
    "torch.IntStorage": 4,
    "torch.ShortStorage": 2,
    "torch.CharStorage": 1,
    "torch.ByteStorage": 1,
    "torch.BoolStorage": 1,
}
ORDERED_DICT = "collections.OrderedDict"
TENSOR = "torch._utils._rebuild_tensor_v2"

MAX_NAME = 100
"""Characters of a storage's name, and of a forbidden one that a message repeats."""

Key = str | int | float | None
"""What a dictionary's key may be: nothing whose hash needs time or depth."""


@dataclass(frozen=True)
class Storage:
    """A tensor's memory as the pickle declares it.

    Attributes:
        key: its name in the file.
        count: number of elements.
        element_bytes: size of one.
    """

    key: str
    count: int
    element_bytes: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.count * self.element_bytes


@dataclass(frozen=True, eq=False)
class Named:
    """A class or function that the pickle names; never looked up."""

    name: str


@dataclass(frozen=True, eq=False)
class Made:
    """What calling a function would return; never called.

    Attributes:
        function: its name.
        arguments: what it would be called with.
        held: what is put into the result afterwards.
    """

    function: str
    arguments: tuple[Any, ...]
    held: list[Any] = field(default_factory=list)


def named(name: str) -> Named:
    """Return the mark of a class or function.

    Raises:
        CheckpointError: state dicts need no such thing.
    """
    if name not in _CALLS and name not in ELEMENT_BYTES:
        raise CheckpointError(forbidden(ascii(name[:MAX_NAME])[1:-1]))
    return Named(name)


def call(function: object, arguments: object) -> Made:
    """Return the mark of a call's result.

    Raises:
        CheckpointError: torch.save writes no such call.
    """
    if not isinstance(function, Named) or not isinstance(arguments, tuple):
        raise damaged()
    check = _CALLS.get(function.name)
    if check is None or not check(*arguments):
        raise CheckpointError(
            f"its pickle calls {function.name} in a way that no state dict does; nothing in it was "
            "executed"
        )
    return Made(function.name, arguments)


def check_state(target: object, state: object) -> None:
    """Check the attributes given to an object: a state dict's metadata, a number's byte order.

    Raises:
        CheckpointError: they are others.
    """
    match state:
        case dict() if is_made(target, ORDERED_DICT) and state.keys() <= {"_metadata"}:
            return
        case (3, "<" | ">" | "|" | "=", None, None, None, -1, -1, 0):
            if is_made(target, "numpy.dtype"):
                return
    raise CheckpointError("its pickle sets attributes that no state dict has")


def storage(identifier: object) -> Storage:
    """Return the storage that a reference outside the pickle means.

    Raises:
        CheckpointError: it is no storage, or of a type that state dicts do not hold.
    """
    match identifier:
        case ("storage", Named(name=kind), str(key), str(), int(count), *view) if (
            kind in ELEMENT_BYTES and len(key) <= MAX_NAME and count >= 0 and _is_view(view, count)
        ):
            return Storage(key, count, ELEMENT_BYTES[kind])
        case ("module", *_):
            raise CheckpointError(forbidden("the code of a whole model"))
        case _:
            raise damaged()


def is_made(value: object, function: str) -> TypeGuard[Made]:
    """Whether it is what calling this function would return."""
    return isinstance(value, Made) and value.function == function


def forbidden(what: str) -> str:
    """Return the message for a file that needs code."""
    return (
        f"needs {what}, which a file could misuse; nothing in it was executed. If you trust its "
        "source, save the weights alone where it was made: "
        "torch.save(model.state_dict(), 'weights.pth')"
    )


def damaged() -> CheckpointError:
    """Return the error of a pickle that is cut off or makes no sense."""
    return CheckpointError(
        "its pickle is damaged or truncated; compare its size and hash with those at its source"
    )


def _is_view(view: list[Any], count: int) -> bool:
    """Whether a storage's view is absent, or inside it: only files of before 1.6 have one."""
    match view:
        case [] | [None]:
            return True
        case [(str(), int(offset), int(size))]:
            return offset >= 0 and size >= 0 and offset + size <= count
    return False


def _is_ordered_dict(*items: object) -> bool:
    """Whether the arguments are none, or as in Python 2 a list of pairs with plain keys."""
    match items:
        case ():
            return True
        case (list(pairs),):
            return all(
                isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], Key)
                for pair in pairs
            )
    return False


def _is_tensor(memory: object, offset: object, size: object, stride: object, *rest: object) -> bool:
    match rest:
        case () | (bool(), Made(function="collections.OrderedDict")):
            return isinstance(memory, Storage) and all(map(_is_size, ((offset,), size, stride)))
    return False


def _is_parameter(data: object, requires_grad: object, hooks: object) -> bool:
    return (
        is_made(data, TENSOR) and isinstance(requires_grad, bool) and is_made(hooks, ORDERED_DICT)
    )


def _is_size(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(n, int) and n >= 0 for n in value)


def _is_text(text: object, encoding: object) -> bool:
    """Whether it is how protocol 2 writes bytes."""
    return isinstance(text, str) and encoding == "latin1"


def _is_number_type(code: object, align: object, copy: object) -> bool:
    plain = isinstance(code, str) and re.fullmatch(r"[<>|=]?([biufc][1248]|c16)", code)
    return bool(plain) and isinstance(align, int) and isinstance(copy, int)


def _is_number(kind: object, data: object) -> bool:
    return is_made(kind, "numpy.dtype") and is_made(data, "_codecs.encode")


_CALLS: dict[str, Callable[..., bool]] = {
    ORDERED_DICT: _is_ordered_dict,
    TENSOR: _is_tensor,
    "torch._utils._rebuild_tensor": _is_tensor,
    "torch._utils._rebuild_parameter": _is_parameter,
    "torch.Size": _is_size,
    "_codecs.encode": _is_text,
    "numpy.dtype": _is_number_type,
    "numpy.core.multiarray.scalar": _is_number,
    "numpy._core.multiarray.scalar": _is_number,
}
"""Function -> whether its arguments are those that torch.save writes."""
