import json

import pytest

from lookwider.classes import Classes, ClassMap
from lookwider.data.class_files import find_class_file, format_class_file, read_class_file
from lookwider.errors import DataError
from lookwider.known_classes import CAMVID


@pytest.mark.parametrize(
    "class_map",
    [
        ClassMap({i: i for i in range(11)}, frozenset({11, 255})),
        ClassMap({i + 5: i // 2 for i in range(22)}, frozenset()),
        ClassMap({i * 0x10203: i for i in range(11)}, frozenset({0xFFFFFF}), "rgb"),
    ],
)
def test_what_is_written_is_read_back(tmp_path, class_map):
    path = tmp_path / "classes.json"
    path.write_text(format_class_file(CAMVID, class_map))
    json.loads(path.read_text())
    assert read_class_file(path) == (CAMVID, class_map)


def test_names_in_any_script(tmp_path):
    classes = Classes.named(['He said "road"', "道路"])
    (tmp_path / "classes.json").write_text(
        format_class_file(classes, ClassMap.identity(2)), encoding="utf-8"
    )
    assert read_class_file(tmp_path / "classes.json")[0] == classes


def test_colour_and_ignore_may_be_left_out(tmp_path):
    path = tmp_path / "classes.json"
    path.write_text('{"classes": [{"name": "a", "values": [0]}, {"name": "b", "values": [1, 7]}]}')
    classes, class_map = read_class_file(path)
    assert classes == Classes.named(["a", "b"])
    assert class_map == ClassMap({0: 0, 1: 1, 7: 1}, frozenset())


def test_classes_txt(tmp_path):
    (tmp_path / "classes.txt").write_text("# mine\nroad\nnot road\n")
    assert find_class_file(tmp_path) == tmp_path / "classes.txt"
    classes, class_map = read_class_file(tmp_path / "classes.txt")
    assert classes.names == ("road", "not road")
    assert class_map == ClassMap.identity(2)


def test_find(tmp_path):
    assert find_class_file(tmp_path) is None
    for name in ("classes.txt", "classes.json"):
        (tmp_path / name).touch()
    assert find_class_file(tmp_path) == tmp_path / "classes.json"


ONE = '{"name": "a", "values": [0]}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "the file: Invalid JSON"),
        ("[]", "the file: "),
        ('{"classes": []}', "classes: .*at least 1 item"),
        ('{"classes": [{"name": "a", "value": [0]}]}', r"classes\.0\.values: Field required"),
        (f'{{"classes": [{ONE}], "ignored": []}}', "ignored: Extra inputs"),
        (f'{{"classes": [{ONE}], "encoding": "bgr"}}', "encoding: .*'index' or 'rgb'"),
        (f'{{"classes": [{ONE}, {ONE}]}}', "the value 0 belongs to two classes"),
        (f'{{"classes": [{ONE}], "ignore": [0]}}', "the value 0 is both a class and ignored"),
        (f'{{"classes": [{ONE}], "encoding": "rgb"}}', r'expected a colour "#rrggbb"'),
        ('{"classes": [{"name": "a", "values": ["#000000"]}]}', "'#000000', expected a number"),
        ('{"classes": [{"name": "a", "values": [0], "colour": "red"}]}', "colour: .*pattern"),
        (
            '{"classes": [{"name": "a", "values": [0]}, {"name": "a", "values": [1]}]}',
            "class names must differ, got a more than once",
        ),
    ],
)
def test_mistakes_are_named(tmp_path, text, message):
    path = tmp_path / "classes.json"
    path.write_text(text)
    with pytest.raises(DataError, match=rf"classes\.json: .*{message}"):
        read_class_file(path)


def test_empty_or_unreadable(tmp_path):
    (tmp_path / "classes.txt").touch()
    with pytest.raises(DataError, match=r"classes\.txt: is empty, expected one class name a line"):
        read_class_file(tmp_path / "classes.txt")
    (tmp_path / "classes.json").mkdir()
    with pytest.raises(DataError, match="cannot be read"):
        read_class_file(tmp_path / "classes.json")
    (tmp_path / "latin").mkdir()
    (tmp_path / "latin" / "classes.json").write_bytes(b'{"classes": "\xe9"}')
    with pytest.raises(DataError, match="Invalid JSON"):
        read_class_file(tmp_path / "latin" / "classes.json")
