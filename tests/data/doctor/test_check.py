"""The data doctor on good data."""

import json

import numpy as np
import pytest
from PIL import Image
from tests.data.doctor.complaints import LABEL, reason

from lookwider.classes import Classes, ClassMap
from lookwider.data import check_dataset, open_dataset
from lookwider.data.class_files import read_class_file
from lookwider.errors import ConfigError


def test_a_good_folder(folder, tmp_path):
    report = check_dataset(folder, out=tmp_path / "out")
    assert report.usable, reason(report)
    assert (report.layout, report.splits) == ("folder", {"train": 3, "val": 1})
    assert (report.sizes.smallest, report.sizes.median, report.sizes.distinct) == (
        *((6, 8), (6, 8), 1),
    )
    assert report.images == {"3 bands, uint8": 4}
    assert report.encodings == {"index, uint8": 4}
    labels = np.stack([np.asarray(Image.open(folder / "labels" / f"{i}.png")) for i in range(4)])
    for index, count in enumerate(report.classes):
        assert count.pixels == (labels == index).sum()
        assert count.images == (labels == index).any((1, 2)).sum()
        assert count.share == pytest.approx((labels == index).sum() / (labels != 255).sum())
    assert report.ignored == pytest.approx((labels == 255).mean())
    assert report.seconds > 0


def test_what_is_written(folder, tmp_path):
    out = tmp_path / "out"
    report = check_dataset(folder, out=out)
    assert sorted(p.name for p in out.iterdir()) == ["classes.json", "pictures.png", "report.json"]
    assert report.picture == str(out / "pictures.png")
    with Image.open(out / "pictures.png") as picture:
        assert picture.width == 1000
    written = json.loads((out / "report.json").read_text())
    assert written["usable"] is True
    assert written["classes"][1]["pixels"] == report.classes[1].pixels
    classes, class_map = read_class_file(out / "classes.json")
    assert (classes, class_map) == (open_dataset(folder).classes, open_dataset(folder).class_map)


def test_nothing_is_written_unless_asked(folder):
    before = sorted(folder.rglob("*"))
    assert check_dataset(folder).picture is None
    assert sorted(folder.rglob("*")) == before


def test_one_split_only(folder):
    assert check_dataset(folder, split="val").splits == {"val": 1}


def test_wrong_usage(folder, tmp_path):
    with pytest.raises(ConfigError, match="no such folder or file"):
        check_dataset(tmp_path / "none")
    with pytest.raises(ConfigError, match="unknown layout 'vok'; did you mean 'voc'"):
        check_dataset(folder, layout="vok")
    with pytest.raises(ConfigError, match="unknown split 'trian'"):
        check_dataset(folder, split="trian")


def test_any_number_of_workers_gives_the_same(folder):
    def figures(workers):
        report = check_dataset(folder, workers=workers)
        return report.classes, report.sizes, report.splits

    assert figures(1) == figures(3)


@pytest.mark.camvid
def test_camvid(camvid, tmp_path):
    report = check_dataset(camvid, split="val", out=tmp_path)
    assert report.usable
    assert report.splits == {"val": 101}
    counts = np.zeros(256, np.int64)
    for path in (camvid / "valannot").iterdir():
        counts += np.bincount(np.asarray(Image.open(path)).ravel(), minlength=256)
    assert [count.pixels for count in report.classes] == counts[:11].tolist()
    assert report.ignored == pytest.approx(counts[11] / counts.sum())


@pytest.mark.parametrize(
    ("array", "palette", "encoding"),
    [
        (LABEL, None, "index, uint8"),
        (LABEL, [9, 8, 7] * 256, "palette"),
        ((LABEL > 0) * np.uint8(255), None, "0/255 mask"),
        (np.stack([LABEL * 9, LABEL, LABEL], axis=2), None, "RGB colours"),
        (LABEL.astype(np.uint16), None, "index, int32"),
    ],
)
def test_encodings_are_told(tmp_path, put, photo, array, palette, encoding):
    put(tmp_path / "images" / "a.png", photo())
    put(tmp_path / "labels" / "a.png", array, palette)
    report = check_dataset(tmp_path)
    assert report.encodings == {encoding: 1}
    assert report.usable, reason(report)


def test_the_proposal_is_what_opening_takes(tmp_path, put, photo):
    put(tmp_path / "images" / "a.png", photo())
    put(tmp_path / "labels" / "a.png", (LABEL > 0) * np.uint8(255))
    report = check_dataset(tmp_path)
    (tmp_path / "classes.json").write_text(report.class_file)
    data = open_dataset(tmp_path, None)
    assert data.classes.names == ("background", "foreground")
    assert data.class_map == ClassMap({0: 0, 255: 1}, frozenset())
    assert isinstance(data.classes, Classes)
    np.testing.assert_array_equal(data[0].label, LABEL > 0)
