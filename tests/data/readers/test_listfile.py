import numpy as np
import pytest

from lookwider.data import open_dataset
from lookwider.data.layouts import find_layout
from lookwider.errors import DataError


@pytest.fixture
def lists(tmp_path, put, photo):
    for i, name in enumerate(["a", "b", "c d"]):
        put(tmp_path / "x" / f"{name}.jpg", photo(i))
        put(tmp_path / "y" / f"{name}.png", np.full((6, 8), i, np.uint8))
    (tmp_path / "train.txt").write_text("x/a.jpg y/a.png\n# none\nx/c d.jpg\ty/c d.png\n")
    (tmp_path / "val.txt").write_text("x\\b.jpg y\\b.png\n")
    return tmp_path


@pytest.mark.parametrize("opened", ["train.txt", "val.txt"])
def test_lists_are_splits(lists, opened):
    assert find_layout(lists / opened) == "list"
    train, val = (open_dataset(lists / opened, split) for split in ("train", "val"))
    assert (train.names, val.names) == (("x/a", "x/c d"), ("x/b",))
    assert [int(s.label[0, 0]) for s in train] == [0, 2]
    assert int(val[0].label[0, 0]) == 1
    assert len(train.classes) == 3


def test_absolute_paths_and_a_list_elsewhere(lists, tmp_path):
    other = tmp_path / "lists"
    other.mkdir()
    (other / "mine.lst").write_text(f"{lists}/x/a.jpg {lists}/y/a.png\n../x/b.jpg ../y/b.png\n")
    data = open_dataset(other / "mine.lst", None)
    assert sorted(data.names) == ["../x/a", "../x/b"]
    train, val = (open_dataset(other / "mine.lst", s) for s in ("train", "val"))
    assert (len(train), len(val)) == (1, 1)


def test_classes_beside_the_list(lists):
    (lists / "classes.txt").write_text("one\ntwo\nthree\nfour\n")
    assert open_dataset(lists / "train.txt").classes.names == ("one", "two", "three", "four")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x/a.jpg\n", "entry 1 is 'x/a.jpg', expected an image and a label"),
        ("x/a.jpg y/a.png\nx/c d.jpg y/c d.png\n", "entry 2 .* put a tab between"),
        ("x/a.jpg y/a.png\nx/a.jpg y/b.png\n", "entry 2 lists the image 'x/a.jpg' a second time"),
        ("# nothing\n", "is empty, expected one image and its label a line"),
        ("x/a.jpg y/none.png\n", r"none\.png: no such file, but .* lists it \(1 listed files"),
    ],
)
def test_mistakes(lists, text, message):
    (lists / "train.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        open_dataset(lists / "train.txt")


def test_a_list_that_is_not_utf8(lists):
    (lists / "train.txt").write_bytes(b"x/\xe9.jpg y/a.png\n")
    with pytest.raises(DataError, match=r"train\.txt: byte 2 is not UTF-8 text"):
        open_dataset(lists / "train.txt")
