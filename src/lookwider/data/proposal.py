"""From the values that label files hold to the class map that they most likely mean."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lookwider.classes import IGNORE_INDEX, MAX_CLASSES, Classes, ClassMap, Colour, distinct_colours
from lookwider.data.labels import LabelValues, format_value, unpack_rgb
from lookwider.errors import DataError


@dataclass(frozen=True)
class Proposal:
    """A class map that fits what was found, and why it is this one, in words."""

    classes: Classes
    class_map: ClassMap
    notes: tuple[str, ...]


def propose(found: Iterable[LabelValues]) -> Proposal:
    """Return the class map of label files that come without one.

    * only 0 and 255: a binary mask, 0 is class 0 and 255 is class 1;
    * numbers that (nearly) fill 0..K-1: as they are, 255 is ignored;
    * numbers from 1 on, never 0: moved down by one, 255 is ignored;
    * scattered numbers: in rising order; 255 among them is ambiguous and refused;
    * colours: one class each, in order of their code; palette files whose palettes disagree
      count as colours.

    Raises:
        DataError: the labels are empty, mixed, ambiguous, or hold more than 255 classes.
    """
    files = list(found)
    if not files:
        raise DataError("no label could be read, so there are no classes to find")
    coloured = [file for file in files if file.encoding == "rgb"]
    if coloured:
        numbers = sum(file.encoding == "index" and not file.grey_rgb for file in files)
        if numbers:
            raise DataError(
                f"{len(coloured)} of {len(files)} labels hold colours and {numbers} class ids, "
                "expected one kind; convert them, or give the colours in classes.json"
            )
        return _of_colours(files)
    palette = _agreed_palette(files)
    if palette is None:
        proposal = _of_colours(files)
        note = "the palettes of the files differ, so the colours count, not the indices"
        return Proposal(proposal.classes, proposal.class_map, (note, *proposal.notes))
    return _of_numbers({v for file in files for v in file.counts}, palette)


def _agreed_palette(files: list[LabelValues]) -> dict[int, Colour] | None:
    """Return the common colour of each value; None when files disagree."""
    agreed: dict[int, Colour] = {}
    for file in files:
        for value, colour in file.palette.items():
            if agreed.setdefault(value, colour) != colour:
                return None
    return agreed


def _of_colours(files: list[LabelValues]) -> Proposal:
    kept = sorted({colour for file in files for colour in file.colour_counts() or {}})
    _check_count(kept, "rgb")
    classes = Classes(
        tuple(f"colour {format_value(v, 'rgb')}" for v in kept), tuple(map(unpack_rgb, kept))
    )
    class_map = ClassMap({v: i for i, v in enumerate(kept)}, frozenset(), "rgb")
    note = (
        f"the labels hold {len(kept)} colours; each is a class, none is ignored: "
        "name them, and move void colours to ignore, in classes.json"
    )
    return Proposal(classes, class_map, (note,))


def _of_numbers(values: set[int], palette: dict[int, Colour]) -> Proposal:
    if min(values) < 0:
        raise DataError(
            f"labels hold the negative number {min(values)}, expected class ids from 0; "
            "say in classes.json what it means"
        )
    kept = sorted(values - {IGNORE_INDEX})
    if values == {0, IGNORE_INDEX}:
        return _binary()
    if not kept:
        raise DataError("every pixel of every label is 255, which is ignored: nothing to learn")
    _check_count(kept, "index")
    if 2 * len(kept) > kept[-1] + 1 - kept[0] and kept[0] <= 1 and kept[-1] < MAX_CLASSES:
        return _dense(kept, palette)
    if IGNORE_INDEX in values:
        raise DataError(
            f"labels hold the scattered numbers {', '.join(map(str, kept[:12]))} and 255, which "
            "may be ignore or a class; say which in classes.json"
        )
    classes = _numbered(kept, palette)
    note = f"the labels hold {len(kept)} scattered numbers: they become classes in rising order"
    return Proposal(classes, ClassMap({v: i for i, v in enumerate(kept)}), (note,))


def _binary() -> Proposal:
    classes = Classes(("background", "foreground"), ((0, 0, 0), (230, 60, 60)))
    note = "the labels hold only 0 and 255: 0 is class 0, 255 is class 1 and nothing is ignored"
    return Proposal(classes, ClassMap({0: 0, 255: 1}, frozenset()), (note,))


def _dense(kept: list[int], palette: dict[int, Colour]) -> Proposal:
    first, last = min(kept[0], 1), kept[-1]
    every = list(range(first, last + 1))
    notes = []
    if first == 1:
        notes.append("no label holds 0: the numbers from 1 on are moved down by one")
    if absent := sorted(set(every) - set(kept)):
        shown = ", ".join(map(str, absent[:12])) + (", ..." if len(absent) > 12 else "")
        notes.append(f"no label holds {shown}: kept as classes without a pixel")
    return Proposal(
        _numbered(every, palette), ClassMap({v: v - first for v in every}), tuple(notes)
    )


def _numbered(values: list[int], palette: dict[int, Colour]) -> Classes:
    spread = distinct_colours(len(values))
    colours = tuple(palette.get(v, spread[i]) for i, v in enumerate(values))
    return Classes(tuple(f"class {v}" for v in values), colours)


def _check_count(kept: list[int], encoding: str) -> None:
    what = "colours" if encoding == "rgb" else "different numbers"
    if len(kept) == 1:
        raise DataError(
            f"all labelled pixels hold {format_value(kept[0], encoding)}, expected two classes or "
            "more: are these the right labels?"
        )
    if len(kept) > MAX_CLASSES:
        raise DataError(
            f"labels hold {len(kept):,} {what}, expected at most {MAX_CLASSES} classes; are they "
            "photos, or saved with losses?"
        )
