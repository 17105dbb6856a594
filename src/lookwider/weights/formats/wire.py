"""The wire format of Protocol Buffers, read in place from bytes that are not trusted.

A message is a run of fields; a field is a tag, ``number << 3 | wire type``, and a value: a varint
(0), 8 bytes (1), a length and that many bytes (2), or 4 bytes (5). Groups (3, 4) are obsolete and
refused. Nothing is copied until `Span.text` or the caller does so, and every length is
compared with the enclosing message before it is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap
from typing import NoReturn

from lookwider.errors import CheckpointError

VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5

_FIXED = {EIGHT_BYTES: 8, FOUR_BYTES: 4}
_MAX_VARINT_BYTES = 10
_MAX_TAG = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a file: the content of a message, a text or an array.

    Attributes:
        data: the whole file.
        start: the first byte.
        end: one after the last byte.
    """

    data: bytes | mmap
    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start

    def fields(self) -> Iterator[Field]:
        """Yield the fields of the message that this is.

        Raises:
            CheckpointError: it is malformed; the message names the byte.
        """
        position = self.start
        while position < self.end:
            tag_at = position
            tag, position = self._varint(position)
            number, wire_type = tag >> 3, tag & 7
            if number == 0 or tag > _MAX_TAG:
                malformed(tag_at, f"got the field number {number}, expected 1 to 2^29 - 1")
            value = 0
            if wire_type == VARINT:
                value, position = self._varint(position)
                content = Span(self.data, position, position)
            elif wire_type in _FIXED:
                content = self._inside(tag_at, position, _FIXED[wire_type])
            elif wire_type == LENGTH:
                length, position = self._varint(position)
                content = self._inside(tag_at, position, length)
            else:
                malformed(tag_at, f"got wire type {wire_type}, expected 0, 1, 2 or 5")
            position = content.end
            yield Field(number, wire_type, tag_at, value, content)

    def varints(self) -> Iterator[int]:
        """Yield the numbers of a packed field.

        Raises:
            CheckpointError: the last one is cut off.
        """
        position = self.start
        while position < self.end:
            value, position = self._varint(position)
            yield value

    def text(self) -> str:
        """Return the bytes as text.

        Raises:
            CheckpointError: they are not UTF-8.
        """
        try:
            return self.data[self.start : self.end].decode()
        except UnicodeDecodeError:
            malformed(self.start, "got a name that is not UTF-8")

    def _varint(self, position: int) -> tuple[int, int]:
        start, value = position, 0
        byte = 128
        while byte >= 128:
            if position >= self.end:
                malformed(start, "a number is cut off")
            if position - start == _MAX_VARINT_BYTES:
                malformed(start, f"got a number of more than {_MAX_VARINT_BYTES} bytes")
            byte = self.data[position]
            value |= (byte & 127) << 7 * (position - start)
            position += 1
        return value & (2**64 - 1), position

    def _inside(self, tag_at: int, start: int, length: int) -> Span:
        if length > self.end - start:
            malformed(tag_at, f"got {length} bytes of content, expected at most {self.end - start}")
        return Span(self.data, start, start + length)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message.

    Attributes:
        number: as in the format's definition.
        wire_type: how the value is stored.
        at: byte where the field begins.
        value: of a varint; otherwise 0.
        content: the bytes of any other value.
    """

    number: int
    wire_type: int
    at: int
    value: int
    content: Span

    def expect(self, *wire_types: int) -> Field:
        """Return the same after comparing its wire type.

        Raises:
            CheckpointError: it is another one.
        """
        if self.wire_type not in wire_types:
            expected = " or ".join(map(str, wire_types))
            malformed(
                self.at,
                f"field {self.number} has wire type {self.wire_type}, expected {expected}",
            )
        return self


def malformed(at: int, problem: str) -> NoReturn:
    """Raise the error of a file that is not what its format says, with the byte."""
    raise CheckpointError(f"at byte {at}: {problem}")
