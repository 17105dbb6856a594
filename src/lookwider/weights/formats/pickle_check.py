"""Follows the pickle of a PyTorch file on paper, before torch.load sees it.

A pickle is a program for a machine with a stack and a memo. Here its operations, as
`pickletools` reads them, build plain lists, tuples and dictionaries and the marks of
`lookwider.weights.formats.pickle_calls`. That says what torch.load would call, what it
would ask memory for, and how deep things lie, at the cost of no more than the file's own size.
"""

from __future__ import annotations

import io
import mmap
import pickletools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO, Any, cast

from lookwider.errors import CheckpointError
from lookwider.weights.formats.pickle_calls import (
    ORDERED_DICT,
    Key,
    Made,
    Storage,
    call,
    check_state,
    damaged,
    is_made,
    named,
    storage,
)

MAX_OPERATIONS = 2_000_000
"""About 40,000 tensors; bounds the time and memory that following the pickle takes."""

MAX_DEPTH = 64
"""Nesting of the object; a training script's checkpoint has about six levels."""


def check_pickle(file: io.BytesIO | mmap.mmap) -> tuple[Any, dict[str, Storage]]:
    """Follow one pickle to its end and return what it describes.

    Args:
        file: positioned at the pickle; afterwards at the byte after it. Reading returns at most
            what is there, whatever length the pickle claims.

    Returns:
        The outermost object, in which calls are only marked, and the storages by key.

    Raises:
        CheckpointError: it is damaged, nested too deeply, too long, or does anything that a
            state dict does not need.
    """
    machine = _Machine()
    try:
        for number, (name, argument) in enumerate(_operations(cast("IO[bytes]", file))):
            if number >= MAX_OPERATIONS:
                raise CheckpointError(f"its pickle has more than {MAX_OPERATIONS} operations")
            machine.step(name, argument)
    except CheckpointError:
        raise
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise damaged() from error
    if len(machine.stack) != 1 or machine.aside:
        raise damaged()
    _check_depth(machine.stack[0])
    return machine.stack[0], machine.storages


def _operations(file: IO[bytes]) -> Iterator[tuple[str, Any]]:
    """Yield a pickle's operations; `pickletools.genops` would interpret escapes in names."""
    name = ""
    while name != "STOP":
        opcode = _OPERATIONS[file.read(1).decode("latin-1")]
        name, argument = opcode.name, None
        if name == "GLOBAL":
            argument = f"{_line(file)}.{_line(file)}"
        elif name in _WITH_ARGUMENT and opcode.arg is not None:
            argument = opcode.arg.reader(file)
        yield name, argument


_OPERATIONS = {opcode.code: opcode for opcode in pickletools.opcodes}
_WITH_ARGUMENT = frozenset(
    {"PROTO", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING"}
    | {"BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET"}
)


def _line(file: IO[bytes]) -> str:
    line = file.readline()
    if not line.endswith(b"\n"):
        raise damaged()
    return line[:-1].decode()


@dataclass
class _Machine:
    """The unpickler's state: a stack, the stacks set aside by MARK, and the memo."""

    stack: list[Any] = field(default_factory=list)
    aside: list[list[Any]] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)
    storages: dict[str, Storage] = field(default_factory=dict)

    def step(self, name: str, argument: Any) -> None:
        """Follow one operation; the list is that of torch.load, without sets and new objects."""
        match name:
            case "PROTO":
                _check_protocol(argument)
            case "STOP":
                pass
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                self.stack.append(_CONSTANTS[name])
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT":
                self.stack.append(argument)
            case "BINUNICODE" | "SHORT_BINSTRING":
                self.stack.append(argument)
            case "EMPTY_LIST":
                self.stack.append([])
            case "EMPTY_DICT":
                self.stack.append({})
            case "EMPTY_TUPLE":
                self.stack.append(())
            case "MARK":
                self.aside.append(self.stack)
                self.stack = []
            case "TUPLE":
                self._push(tuple(self._since_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                self._push(tuple(self._pop(int(name[-1]))))
            case "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = self.stack[-1]
            case "BINGET" | "LONG_BINGET":
                self.stack.append(self.memo[argument])
            case "APPEND":
                self._extend(self._pop(1))
            case "APPENDS":
                self._extend(self._since_mark())
            case "SETITEM":
                self._set_items(self._pop(2))
            case "SETITEMS":
                self._set_items(self._since_mark())
            case "GLOBAL":
                self.stack.append(named(argument))
            case "REDUCE":
                self._push(call(*self._pop(2)))
            case "BUILD":
                (state,) = self._pop(1)
                check_state(self.stack[-1], state)
                self.stack[-1].held.append(state)
            case "BINPERSID":
                self._push(self._declared(*self._pop(1)))
            case _:
                raise CheckpointError(
                    f"its pickle does what no state dict does ({name}); nothing in it was executed"
                )

    def _push(self, value: object) -> None:
        self.stack.append(value)

    def _pop(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise damaged()
        popped = self.stack[-count:]
        del self.stack[-count:]
        return popped

    def _since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.aside.pop()
        return items

    def _extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, list):
            raise damaged()
        target.extend(items)

    def _set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        keys, values = items[::2], items[1::2]
        if len(keys) != len(values):
            raise damaged()
        if not all(isinstance(key, Key) for key in keys):
            raise CheckpointError(
                "its pickle has a dictionary with keys other than text and numbers"
            )
        if isinstance(target, dict):
            target.update(zip(keys, values, strict=True))
        elif is_made(target, ORDERED_DICT):
            target.held.extend(values)
        else:
            raise damaged()

    def _declared(self, identifier: object) -> Storage:
        new = storage(identifier)
        if self.storages.setdefault(new.key, new) != new:
            raise CheckpointError(f"its pickle declares storage {new.key!r} twice, differently")
        return new


_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}


def _check_protocol(protocol: int) -> None:
    if protocol != 2:
        raise CheckpointError(
            f"its pickle has protocol {protocol}, expected 2; save it again without the argument "
            "pickle_protocol"
        )


def _check_depth(outermost: object) -> None:
    level: list[Any] = [outermost]
    seen: set[int] = set()
    for _ in range(MAX_DEPTH):
        seen |= {id(value) for value in level}
        level = [c for value in level for c in _children(value) if id(c) not in seen]
        if not level:
            return
    raise CheckpointError(f"its pickle is nested deeper than {MAX_DEPTH} levels")


def _children(value: object) -> Iterable[Any]:
    match value:
        case dict():
            return value.values()
        case list() | tuple():
            return value
        case Made():
            return (*value.arguments, *value.held)
    return ()
