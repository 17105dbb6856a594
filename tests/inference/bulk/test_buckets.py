"""Images at addresses; a folder stands for a bucket."""

import sys

import pytest
from tests.inference.bulk import small
from tests.inference.bulk.test_pipeline import done

from lookwider.errors import DataError, MissingExtraError
from lookwider.inference.bulk import BulkJob, buckets
from lookwider.inference.bulk.buckets import bucket_images, download


def test_names_and_results_are_those_of_the_folder(run, folder, expected, tmp_path):
    images = bucket_images(f"file://{folder}")
    assert [i.name for i in images] == [i.name for i in small.images_in(folder)]
    job = BulkJob(run, tmp_path / "out")
    records = done(job, list(job.batches(images)))
    assert small.contents(tmp_path / "out") == expected
    assert f"file://{folder}/broken.png: not an image" in records["broken"].error
    local = BulkJob(run, tmp_path / "local")
    there = done(local, list(local.batches(small.images_in(folder))))
    assert {n: r.image_sha256 for n, r in records.items()} == {
        n: r.image_sha256 for n, r in there.items()
    }


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
