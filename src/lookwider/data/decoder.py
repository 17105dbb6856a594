"""Stored label values to class ids, by one explicit class map."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from lookwider.classes import IGNORE_INDEX, MAX_CLASSES, ClassMap
from lookwider.data.labels import (
    LabelValues,
    StoredLabel,
    Values,
    format_value,
    pack_rgb,
    read_stored,
)
from lookwider.data.sample import LabelArray
from lookwider.errors import DataError


class LabelDecoder:
    """Turns stored label values into class ids by one class map; the same for every file.

    Args:
        class_map: stored values -> class ids and ignore.
        num_classes: ids must be below it.
    """

    def __init__(self, class_map: ClassMap, num_classes: int) -> None:
        bad = {v: i for v, i in class_map.ids.items() if not 0 <= i < min(num_classes, MAX_CLASSES)}
        if bad:
            value, index = next(iter(bad.items()))
            raise DataError(
                f"the class map sends {value} to class {index}, expected 0..{num_classes - 1}"
            )
        both = {v for v in class_map.ids if v in class_map.ignore}
        if both:
            raise DataError(f"the class map both keeps and ignores the values {_listed(both)}")
        self.class_map = class_map
        table = dict(class_map.ids) | dict.fromkeys(class_map.ignore, IGNORE_INDEX)
        self._table = table
        self._values = np.array(sorted(table), np.int64)
        self._ids = np.array([table[v] for v in sorted(table)], np.uint8)
        ids, known = self._search(np.arange(256))
        self._byte_table, self._known_bytes = ids.tobytes(), bytes(np.flatnonzero(known).tolist())

    def read(self, path: str | os.PathLike[str]) -> LabelArray:
        """Read a label file as (H, W) uint8 class ids, 255 where ignored.

        Raises:
            DataError: the file is damaged, of another encoding than the class map, or holds a
                value that the class map does not know.
        """
        return self.decode(read_stored(path), f"label {path}")

    def decode(self, stored: StoredLabel, where: str) -> LabelArray:
        """Map stored values to class ids; ``where`` names the label in the error."""
        values = self.as_encoded(stored, where).values
        if values.dtype == np.uint8:
            return self._decode_bytes(values, where)
        ids, known = self._search(values)
        if not known.all():
            raise self._strangers(values[~known], where)
        return ids

    def _decode_bytes(self, values: Values, where: str) -> LabelArray:
        """`decode` of 8-bit labels: as text, ten times as fast as indexing a table."""
        pixels = bytearray(values.tobytes())
        if strangers := pixels.translate(None, self._known_bytes):
            raise self._strangers(np.frombuffer(strangers, np.uint8), where)
        return np.frombuffer(pixels.translate(self._byte_table), np.uint8).reshape(values.shape)

    def decode_counts(
        self, values: LabelValues, where: str
    ) -> tuple[dict[int, int], DataError | None]:
        """Return pixels by class id of counted values, and the error that `decode` would raise."""
        wanted = self.class_map.encoding
        counts = values.colour_counts() if wanted == "rgb" else values.counts
        if wanted == "index" and values.encoding == "rgb":
            return {}, self._colour_image(where)
        if counts is None:
            return {}, self._numbers(where)
        ids: dict[int, int] = {}
        unknown = {value: pixels for value, pixels in counts.items() if value not in self._table}
        for value, pixels in counts.items():
            if value in self._table:
                ids[self._table[value]] = ids.get(self._table[value], 0) + pixels
        return ids, self._unknown(unknown, where) if unknown else None

    def _search(self, values: Values) -> tuple[LabelArray, npt.NDArray[np.bool_]]:
        if not len(self._values):
            return np.full(values.shape, IGNORE_INDEX, np.uint8), np.zeros(values.shape, np.bool_)
        place = np.minimum(np.searchsorted(self._values, values), len(self._values) - 1)
        return self._ids[place], self._values[place] == values

    def as_encoded(self, stored: StoredLabel, where: str) -> StoredLabel:
        """Return the label in the class map's encoding: palette and grey have colours too.

        Raises:
            DataError: the class map knows numbers and the label holds colours.
        """
        if stored.encoding == self.class_map.encoding:
            return stored
        if self.class_map.encoding == "index":
            raise self._colour_image(where)
        palette = stored.palette or tuple((i, i, i) for i in range(256))
        table = pack_rgb(np.array(palette, np.uint8))
        if stored.values.size and not 0 <= stored.values.min() <= stored.values.max() < len(table):
            raise self._numbers(where)
        return StoredLabel(table[stored.values], "rgb")

    def _colour_image(self, where: str) -> DataError:
        return DataError(
            f"{where} is a colour image, expected class ids {self.expected()}; "
            "see `lookwider data check`"
        )

    def _numbers(self, where: str) -> DataError:
        return DataError(f"{where} holds numbers, expected the colours {self.expected()}")

    def expected(self) -> str:
        """Return in words which stored values the class map knows."""
        kept = _listed(self.class_map.ids, self.class_map.encoding)
        ignored = _listed(self.class_map.ignore, self.class_map.encoding)
        return f"{kept} or {ignored} (ignore)" if ignored else kept

    def _strangers(self, values: Values, where: str) -> DataError:
        found, counts = np.unique(values, return_counts=True)
        unknown = dict(zip(found.tolist(), counts.tolist(), strict=True))
        return self._unknown(unknown, where)

    def _unknown(self, unknown: Mapping[int, int], where: str) -> DataError:
        most = max(unknown, key=lambda value: unknown[value])
        shown = format_value(most, self.class_map.encoding)
        others = f" and {len(unknown) - 1} more unknown values" if len(unknown) > 1 else ""
        kind = "class id" if self.class_map.encoding == "index" else "colour"
        return DataError(
            f"{where} has {kind} {shown} in {unknown[most]:,} pixels{others}, expected "
            f"{self.expected()}; see `lookwider data check` for a class map that fits"
        )


def _listed(values: Iterable[int], encoding: str = "index") -> str:
    """Return numbers as ranges, "0..20, 34"; colours one by one, the first eight."""
    numbers = sorted(values)
    if encoding == "rgb":
        more = f" and {len(numbers) - 8} more" if len(numbers) > 8 else ""
        return ", ".join(format_value(v, encoding) for v in numbers[:8]) + more
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}..{b}" for a, b in ranges)
