"""The manifest: parts, resuming, one job at a time, and what is damaged."""

from contextlib import suppress
from pathlib import Path

import pytest
from pyarrow import parquet

from lookwider.errors import DataError, LookwiderError, MissingExtraError
from lookwider.inference.bulk import BulkImage, manifest
from lookwider.inference.bulk.manifest import open_manifest, read_manifest
from lookwider.inference.bulk.records import Record

SAME = {"model": "x"}


def image(tmp_path, name):
    """Return an image of two bytes whose label map is there."""
    path = tmp_path / f"{name}.jpg"
    path.write_bytes(b"ab")
    (tmp_path / "out").mkdir(exist_ok=True)
    (tmp_path / "out" / f"{name}.png").touch()
    return BulkImage(name, str(path))


def record(image, **changes):
    about = Path(image.source).stat()
    return Record(
        image.name,
        image.source,
        **{
            "status": "done",
            "image_bytes": about.st_size,
            "image_modified": about.st_mtime_ns,
            **changes,
        },
    )


def test_the_last_row_of_an_image_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "PART_ROWS", 2)
    a, b = image(tmp_path, "a"), image(tmp_path, "sub-b")
    out = tmp_path / "out"
    with open_manifest(out, SAME) as rows:
        rows.add(Record.failed(b, "damaged"))
        rows.add(record(a))
        assert len(list((out / ".manifest").glob("part-*.parquet"))) == 1
        rows.add(record(b, seconds=2.5, labels_sha256="f00"))
        path = rows.close()
    assert [path.name for path in out.iterdir() if path.suffix != ".png"] == ["manifest.parquet"]
    assert read_manifest(path) == [
        record(a, finished=read_manifest(path)[0].finished),
        record(b, seconds=2.5, labels_sha256="f00", finished=read_manifest(path)[1].finished),
    ]


def test_an_interrupted_job_keeps_its_rows(tmp_path):
    a, b = image(tmp_path, "a"), image(tmp_path, "b")
    out = tmp_path / "out"
    with suppress(KeyboardInterrupt), open_manifest(out, SAME) as rows:
        rows.add(record(a))
        rows.add(Record.failed(b, "damaged"))
        raise KeyboardInterrupt
    assert not (out / "manifest.parquet").exists()
    for _ in range(2):  # after an interruption, and after an end
        with open_manifest(out, SAME) as rows:
            assert not (out / "manifest.parquet").exists()
            assert (rows.finished(a), rows.finished(b)) == (True, False)
            rows.close()
    assert [row.status for row in read_manifest(out / "manifest.parquet")] == ["done", "failed"]


def test_what_is_not_finished_any_more(tmp_path):
    images = [image(tmp_path, name) for name in "abcde"]
    changed, gone, unlabelled, moved, same = images
    out = tmp_path / "out"
    with open_manifest(out, SAME) as rows:
        for one in images:
            rows.add(record(one))
        rows.close()
    (tmp_path / "a.jpg").write_bytes(b"abc")
    (tmp_path / "b.jpg").unlink()
    (out / "c.png").unlink()
    with open_manifest(out, SAME) as rows:
        found = [rows.finished(one) for one in (changed, gone, unlabelled, same)]
        assert found == [False, False, False, True]
        assert not rows.finished(BulkImage(moved.name, str(tmp_path / "e.jpg")))


def test_rows_of_another_job_are_removed(tmp_path):
    a, out = image(tmp_path, "a"), tmp_path / "out"
    for identity, anew in ((SAME, False), ({"model": "y"}, True), ({"model": "y"}, False)):
        with open_manifest(out, identity) as rows:
            assert rows.begun_anew == anew
            assert rows.finished(a) == (identity != SAME and not anew)
            rows.add(record(a))
            rows.close()


def test_rows_without_a_column_of_today(tmp_path):
    a, b, out = image(tmp_path, "a"), image(tmp_path, "b"), tmp_path / "out"
    with open_manifest(out, SAME) as rows:
        rows.add(record(a, together=4))
        path = rows.close()
    parquet.write_table(parquet.read_table(path).drop_columns(["together"]), path)
    assert read_manifest(path)[0].together is None
    with open_manifest(out, SAME) as rows:
        assert rows.finished(a)
        rows.add(record(b, together=2))
        rows.close()
    assert [(row.name, row.together) for row in read_manifest(path)] == [("a", None), ("b", 2)]


def test_one_job_at_a_time(tmp_path):
    with (
        open_manifest(tmp_path, SAME),
        pytest.raises(LookwiderError, match="another job is writing there; wait for its end"),
        open_manifest(tmp_path, SAME),
    ):
        raise AssertionError


def test_a_damaged_manifest(tmp_path):
    (tmp_path / "manifest.parquet").write_text("x")
    with pytest.raises(DataError, match=r"cannot be read: .*; remove it, and its images"):
        read_manifest(tmp_path / "manifest.parquet")
    with (
        pytest.raises(DataError, match=r"part-00000000\.parquet: cannot be read"),
        open_manifest(tmp_path, SAME),
    ):
        raise AssertionError


def test_names_that_are_no_text(tmp_path):
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    odd, out = image(tmp_path, name), tmp_path / "out"
    with open_manifest(out, SAME) as rows:
        rows.add(record(odd))
        rows.close()
    with open_manifest(out, SAME) as rows:
        assert rows.finished(odd)
        rows.close()
    assert read_manifest(out / "manifest.parquet")[0].name == "caf\\udce9"


def test_a_full_disk_is_said(tmp_path, monkeypatch):
    class Full:
        def __init__(self, *_):
            raise OSError(28, "No space left on device")

    with open_manifest(tmp_path, SAME) as rows:
        rows.add(record(image(tmp_path, "a")))
        monkeypatch.setattr(manifest, "atomic_path", Full)
        with pytest.raises(LookwiderError, match=r"cannot be written: .*the same command goes on"):
            rows.flush()
        monkeypatch.undo()


def test_without_pyarrow(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with (
        pytest.raises(MissingExtraError, match=r"pip install 'lookwider\[bulk\]'"),
        open_manifest(tmp_path / "out", SAME),
    ):
        raise AssertionError
    assert not (tmp_path / "out").exists()
