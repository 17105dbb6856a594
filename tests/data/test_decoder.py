import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lookwider.classes import ClassMap
from lookwider.data.decoder import LabelDecoder
from lookwider.data.labels import StoredLabel, count_values
from lookwider.errors import DataError


@settings(max_examples=60)
@given(
    st.dictionaries(st.integers(-5, 300), st.integers(0, 6), min_size=1),
    st.lists(st.integers(-5, 300), min_size=1, max_size=30),
    st.sampled_from([np.uint8, np.int32, np.int64]),
)
def test_decode_equals_a_plain_lookup(ids, pixels, dtype):
    ignore = frozenset({255}) - ids.keys()
    decoder = LabelDecoder(ClassMap(ids, ignore), 7)
    values = np.array([[p % 256 if dtype == np.uint8 else p for p in pixels]], dtype)
    stored = StoredLabel(values, "index")
    table = ids | dict.fromkeys(ignore, 255)
    unknown = [v for v in values[0].tolist() if v not in table]
    counts, error = decoder.decode_counts(count_values(stored, "a"), "label a")
    if unknown:
        with pytest.raises(DataError, match="label a has class id") as raised:
            decoder.decode(stored, "label a")
        assert str(raised.value) == str(error)
        return
    decoded = decoder.decode(stored, "label a")
    assert decoded.dtype == np.uint8
    assert decoded[0].tolist() == [table[v] for v in values[0].tolist()]
    assert error is None
    assert counts == {i: decoded[0].tolist().count(i) for i in set(decoded[0].tolist())}


def test_an_unknown_id_is_named_with_file_count_and_range(tmp_path, put):
    label = np.zeros((4, 5), np.uint8)
    label[0, :3] = 34
    put(tmp_path / "x.png", label)
    decoder = LabelDecoder(ClassMap.identity(21), 21)
    message = (
        r"label .*x\.png has class id 34 in 3 pixels, expected 0\.\.20 or 255 \(ignore\); "
        r"see `lookwider data check`"
    )
    with pytest.raises(DataError, match=message):
        decoder.read(tmp_path / "x.png")


def test_several_unknown_values(tmp_path):
    decoder = LabelDecoder(ClassMap({0: 0, 2: 1}, frozenset()), 2)
    values = np.array([[0, 1, 1, 5]], np.int32)
    message = r"class id 1 in 2 pixels and 1 more unknown values, expected 0, 2; see"
    with pytest.raises(DataError, match=message):
        decoder.decode(StoredLabel(values, "index"), "label a")


def test_a_colour_image_where_ids_are_expected(tmp_path, put):
    put(tmp_path / "x.png", np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8))
    with pytest.raises(DataError, match=r"is a colour image, expected class ids 0\.\.2 or 255"):
        LabelDecoder(ClassMap.identity(3), 3).read(tmp_path / "x.png")


def test_colours(tmp_path, put):
    decoder = LabelDecoder(ClassMap({0x800000: 0, 0x808080: 1}, frozenset({0}), "rgb"), 2)
    rgb = np.array([[[128, 0, 0], [128, 128, 128]], [[0, 0, 0], [128, 0, 0]]], np.uint8)
    put(tmp_path / "rgb.png", rgb)
    assert decoder.read(tmp_path / "rgb.png").tolist() == [[0, 1], [255, 0]]
    grey = np.array([[128, 0]], np.uint8)
    put(tmp_path / "grey.png", grey)
    assert decoder.read(tmp_path / "grey.png").tolist() == [[1, 255]]
    put(tmp_path / "p.png", np.array([[0, 1]], np.uint8), palette=[128, 0, 0, 0, 0, 0])
    assert decoder.read(tmp_path / "p.png").tolist() == [[0, 255]]
    put(tmp_path / "bad.png", np.array([[[1, 2, 3], [1, 2, 3]]], np.uint8))
    message = r"has colour #010203 in 2 pixels, expected #800000, #808080 or #000000 \(ignore\)"
    with pytest.raises(DataError, match=message):
        decoder.read(tmp_path / "bad.png")


def test_numbers_where_colours_are_expected():
    decoder = LabelDecoder(ClassMap({0x800000: 0}, frozenset(), "rgb"), 1)
    stored = StoredLabel(np.array([[300]], np.int32), "index")
    with pytest.raises(DataError, match="label a holds numbers, expected the colours #800000"):
        decoder.decode(stored, "label a")
    counts, error = decoder.decode_counts(count_values(stored, "a"), "label a")
    assert not counts
    assert "holds numbers" in str(error)


def test_maps_that_cannot_be():
    with pytest.raises(DataError, match=r"sends 4 to class 9, expected 0\.\.2"):
        LabelDecoder(ClassMap({4: 9}), 3)
    with pytest.raises(DataError, match="both keeps and ignores the values 255"):
        LabelDecoder(ClassMap({0: 0, 255: 1}), 2)


def test_long_lists_are_shortened():
    decoder = LabelDecoder(ClassMap(dict.fromkeys(range(1, 30), 0), frozenset(), "rgb"), 1)
    assert decoder.expected().endswith("and 21 more")
