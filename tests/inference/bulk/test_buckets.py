"""Images at addresses; a folder stands for a bucket."""

import dataclasses
import os
import sys

import pytest
from tests.inference.bulk import small
from tests.inference.bulk.test_pipeline import done

from lookwider.errors import DataError, MissingExtraError
from lookwider.inference.bulk import BulkJob, buckets
from lookwider.inference.bulk.buckets import bucket_images, download
from lookwider.inference.bulk.job import Batch
from lookwider.inference.bulk.manifest import open_manifest
from lookwider.inference.bulk.records import Record


def test_names_and_results_are_those_of_the_folder(run, folder, expected, tmp_path):
    images = bucket_images(f"file://{folder}")
    assert [i.name for i in images] == [i.name for i in small.images_in(folder)]
    job = BulkJob(run, tmp_path / "out")
    records = done(job, list(job.batches(images)))
    assert small.contents(tmp_path / "out") == expected
    assert f"file://{folder}/broken.png: not an image" in records["broken"].error
    local = BulkJob(run, tmp_path / "local")
    there = done(local, list(local.batches(small.images_in(folder))))
    for name, record in records.items():
        assert (record.image_sha256, record.image_modified) == (
            there[name].image_sha256,
            there[name].image_modified,
        )


def test_names_with_signs_and_of_one_stem(tmp_path):
    for name in ("a b%20#c.png", "x.png", "x.jpg", ".hidden.png", "notes.txt"):
        (tmp_path / name).write_bytes(name.encode())
    images = bucket_images(f"file://{tmp_path}")
    assert [image.name for image in images] == ["a b%20#c", "x.jpg", "x.png"]
    assert [download(image.source).decode() for image in images] == [
        "a b%20#c.png",
        "x.jpg",
        "x.png",
    ]
    (one,) = bucket_images(f"file://{tmp_path}/x.png")
    assert (one.name, one.source) == ("x", f"file://{tmp_path}/x.png")


def test_what_was_changed_in_a_bucket_is_done_again(tmp_path):
    path, out = tmp_path / "in" / "a.png", tmp_path / "out"
    out.mkdir()
    (out / "a.png").touch()
    path.parent.mkdir()
    path.write_bytes(b"12")
    (image,) = bucket_images(f"file://{path.parent}")
    assert (image.bytes, image.modified) == (2, path.stat().st_mtime_ns)
    assert Batch.from_json(Batch(0, (image,)).to_json()).images == (image,)
    with open_manifest(out, {}) as rows:
        rows.add(Record("a", image.source, "done", image_bytes=2, image_modified=image.modified))
        rows.close()
    os.utime(path, ns=(0, 0))
    (touched,) = bucket_images(f"file://{path.parent}")
    longer = dataclasses.replace(image, bytes=3)
    unknown = dataclasses.replace(image, bytes=None, modified=None)
    with open_manifest(out, {}) as rows:
        found = [rows.finished(one) for one in (image, touched, longer, unknown)]
        assert found == [True, False, False, True]


def test_what_is_not_there(tmp_path):
    with pytest.raises(DataError, match="found no image in file://"):
        bucket_images(f"file://{tmp_path}")
    with pytest.raises(DataError, match="nowhere: cannot be listed"):
        bucket_images(f"file://{tmp_path}/nowhere")
    with pytest.raises(DataError, match=r"a\.png: cannot be read"):
        download(f"file://{tmp_path}/a.png")
    with pytest.raises(DataError, match=r"cannot be opened: .*expected an address such as s3://"):
        bucket_images("nothing://bucket")


def test_without_pyarrow(monkeypatch):
    buckets._file_system.cache_clear()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lookwider\[bulk\]'"):
        bucket_images("s3://bucket")
