import pytest

from lookwider.classes import ClassMap
from lookwider.data.labels import LabelValues
from lookwider.data.proposal import propose
from lookwider.errors import DataError


def numbers(*values: int, palette: dict[int, tuple[int, int, int]] | None = None) -> LabelValues:
    return LabelValues("index", dict.fromkeys(values, 1), palette or {})


def colours(*values: int) -> LabelValues:
    return LabelValues("rgb", dict.fromkeys(values, 1))


def test_dense_numbers_stay_and_255_is_ignored():
    found = propose([numbers(0, 2), numbers(1, 255)])
    assert found.class_map == ClassMap.identity(3)
    assert found.classes.names == ("class 0", "class 1", "class 2")
    assert not found.notes


def test_a_class_without_pixels_in_between_is_kept():
    found = propose([numbers(0, 1, 3)])
    assert found.class_map == ClassMap.identity(4)
    assert found.notes == ("no label holds 2: kept as classes without a pixel",)


def test_only_0_and_255_is_a_binary_mask_and_nothing_is_ignored():
    found = propose([numbers(0), numbers(0, 255), numbers(255)])
    assert found.class_map == ClassMap({0: 0, 255: 1}, frozenset())
    assert found.classes.names == ("background", "foreground")
    assert "255 is class 1 and nothing is ignored" in found.notes[0]


def test_numbers_from_one():
    found = propose([numbers(1, 2, 3, 255)])
    assert found.class_map == ClassMap({1: 0, 2: 1, 3: 2})
    assert found.classes.names == ("class 1", "class 2", "class 3")
    assert "moved down by one" in found.notes[0]


def test_scattered_numbers():
    found = propose([numbers(0, 50), numbers(100)])
    assert found.class_map == ClassMap({0: 0, 50: 1, 100: 2})
    assert "scattered" in found.notes[0]


def test_scattered_numbers_with_255_are_ambiguous():
    with pytest.raises(DataError, match=r"scattered numbers 0, 128 and 255, which may be ignore"):
        propose([numbers(0, 128, 255)])


def test_palette_colours_are_kept():
    red, blue = (200, 0, 0), (0, 0, 200)
    found = propose([numbers(0, palette={0: red}), numbers(0, 1, palette={0: red, 1: blue})])
    assert found.classes.palette == (red, blue)


def test_palettes_that_disagree_mean_colours():
    red, blue = (200, 0, 0), (0, 0, 200)
    found = propose([numbers(0, 1, palette={0: red, 1: blue}), numbers(0, palette={0: blue})])
    assert found.class_map == ClassMap({0x0000C8: 0, 0xC80000: 1}, frozenset(), "rgb")
    assert "palettes of the files differ" in found.notes[0]


def test_colours_are_one_class_each():
    grey = LabelValues("index", {0: 9}, grey_rgb=True)  # a label that happens to be all black
    found = propose([colours(0x800000, 0x808080), grey])
    assert found.class_map == ClassMap({0: 0, 0x800000: 1, 0x808080: 2}, frozenset(), "rgb")
    assert found.classes.palette == ((0, 0, 0), (128, 0, 0), (128, 128, 128))
    assert found.classes.names[1] == "colour #800000"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "no label could be read"),
        ([numbers(0, 1), colours(5)], "1 of 2 labels hold colours and 1 class ids"),
        ([numbers(-1, 0, 1)], "negative number -1"),
        ([numbers(255)], "every pixel of every label is 255"),
        ([numbers(5), numbers(5, 255)], "all labelled pixels hold 5, expected two classes"),
        ([colours(5)], "all labelled pixels hold #000005"),
        ([numbers(*range(0, 4000, 7))], "572 different numbers, expected at most 255"),
        ([colours(*range(300))], "300 colours, expected at most 255 classes"),
    ],
)
def test_labels_that_say_nothing(files, message):
    with pytest.raises(DataError, match=message):
        propose(files)
