from pathlib import Path

import pytest

from lookwider.data.readers.pairs import (
    Listing,
    Pair,
    core_name,
    files_by_name,
    find_files,
    join_listings,
    pair_by_name,
    read_names,
)
from lookwider.errors import DataError

PNG = frozenset({".png"})


def paths(*names: str) -> dict[str, Path]:
    return {name: Path(f"{name}.png") for name in names}


@pytest.mark.parametrize(
    "label",
    ["a_mask", "a_label", "a-gt", "a.seg", "a_L", "a_GT", "a_gtFine_labelIds", "a_segmentation"],
)
def test_usual_endings(label):
    pairs, images, labels = pair_by_name(paths("a"), paths(label))
    assert [(p.name, p.label) for p in pairs] == [("a", Path(f"{label}.png"))]
    assert not images
    assert not labels


def test_an_equal_name_wins_over_an_ending():
    pairs, _, labels = pair_by_name(paths("a"), paths("a", "a_mask"))
    assert pairs[0].label == Path("a.png")
    assert labels == (Path("a_mask.png"),)


def test_unpaired_files_are_returned():
    pairs, images, labels = pair_by_name(paths("b", "a", "c"), paths("a", "b", "d"))
    assert [p.name for p in pairs] == ["b", "a"]
    assert (images, labels) == ((Path("c.png"),), (Path("d.png"),))


def test_two_labels_for_one_image():
    with pytest.raises(DataError, match=r"two labels could belong to one image: .*a_gt.*a_mask"):
        pair_by_name(paths("a"), paths("a_gt", "a_mask"))


@pytest.mark.parametrize("name", ["mask", "_mask", "city/_gt", "l"])
def test_a_name_is_never_stripped_to_nothing(name):
    assert core_name(name) == name


def test_two_suffixes_of_one_name(tmp_path):
    for name in ("a.png", "a.bmp"):
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=r"a\.bmp and a\.png have the same name but for the suffix"):
        files_by_name(tmp_path, frozenset({".png", ".bmp"}))


def test_hidden_files_and_other_kinds_are_left_out(tmp_path):
    for name in ("a.PNG", ".b.png", "c.txt", "sub/d.png", ".hidden/e.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [p.name for p in find_files(tmp_path, PNG)] == ["a.PNG", "d.png"]
    assert list(files_by_name(tmp_path, PNG)) == ["a", "sub/d"]


def test_links_that_loop_end(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.png").touch()
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to("self")
    assert [p.name for p in find_files(tmp_path, PNG)] == ["a.png"]


def test_a_folder_without_permission(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(DataError, match="no permission to look at it"):
        find_files(tmp_path, PNG)


def test_links_to_folders_are_followed(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "a.png").touch()
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "link").symlink_to(tmp_path / "far")
    assert list(files_by_name(tmp_path / "here", PNG)) == ["link/a"]


def test_odd_entries_named_like_images_are_not_hidden(tmp_path):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "gone.png").symlink_to("nowhere")
    assert [p.name for p in find_files(tmp_path, PNG)] == ["folder.png", "gone.png", "loop.png"]


def test_names_files(tmp_path):
    (tmp_path / "a.txt").write_bytes("\ufeffone\r\n\n# no\n  two  \nthrée\n".encode())
    assert read_names(tmp_path / "a.txt") == ["one", "two", "thrée"]
    (tmp_path / "latin.txt").write_bytes("caf\xe9\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"latin\.txt: byte 3 is not UTF-8 text"):
        read_names(tmp_path / "latin.txt")
    with pytest.raises(DataError, match="no such file"):
        read_names(tmp_path / "none.txt")
    with pytest.raises(DataError, match="cannot be read"):
        read_names(tmp_path)


def test_joined_splits_get_their_name_only_where_names_collide():
    def listing(*names: str) -> Listing:
        return Listing(tuple(Pair(n, Path(n), Path(n)) for n in names), notes=("same",))

    joined = join_listings({"train": listing("a", "b"), "val": listing("c")})
    assert [p.name for p in joined.pairs] == ["a", "b", "c"]
    assert joined.notes == ("same",)
    joined = join_listings({"train": listing("a", "b"), "val": listing("a")})
    assert [p.name for p in joined.pairs] == ["train/a", "train/b", "val/a"]
