"""One worker's work: the same bytes as one process, errors by image, and images that kill."""

import errno
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from tests.inference.bulk import small

from lookwider.errors import LookwiderError
from lookwider.inference.bulk import BulkJob, network
from lookwider.inference.bulk.buckets import bucket_images
from lookwider.inference.bulk.job import Batch
from lookwider.inference.bulk.pipeline import Pipeline
from lookwider.predictions import Prediction


def done(job, batches):
    """Return the records of batches, by name."""
    with Pipeline(job) as worker:
        answers = [answer for batch in batches for answer in worker.feed(batch)]
        while not worker.idle:
            answers += worker.feed(None)
    numbers = [number for number, _ in answers]
    assert sorted(numbers) == [batch.number for batch in batches]
    return {record.name: record for _, records in answers for record in records}


def batches_in(job, folder):
    return list(job.batches(small.images_in(folder)))


def test_results_are_those_of_one_process(run, folder, expected, tmp_path):
    job = BulkJob(run, tmp_path / "out")
    records = done(job, batches_in(job, folder))
    found = small.contents(tmp_path / "out")
    assert found == expected
    assert len(records) == 13
    assert records["broken"].status == "failed"
    assert "not an image that can be read" in records["broken"].error
    for name, record in records.items():
        if name != "broken":
            assert record.labels_sha256 == found[f"{name}.png"]
            with Image.open(record.path) as image:
                assert (record.width, record.height) == image.size
            assert record.image_bytes == Path(record.path).stat().st_size


def test_a_protocol_and_probabilities(run, folder, tmp_path):
    from lookwider.inference import named_protocol

    protocol = named_protocol("whole", scales=(0.5, 1.0), flip=True)
    job = BulkJob(run, tmp_path / "out", protocol, probabilities=True, batch_size=4)
    done(BulkJob.from_json(job.to_json()), batches_in(job, folder))
    expected = small.one_process(
        run, folder, tmp_path / "one", protocol=protocol, probabilities=True
    )
    assert small.contents(tmp_path / "out") == expected


def test_images_of_one_size_go_through_at_once(run, folder, expected, tmp_path, monkeypatch):
    sizes = []
    together = network._together

    def watched(model, job, loaded):
        sizes.append(len(loaded))
        return together(model, job, loaded)

    monkeypatch.setattr(network, "_together", watched)
    job = BulkJob(run, tmp_path / "out", batch_size=6)
    records = done(job, batches_in(job, folder))
    assert len(records) == 13
    assert sizes == [2] * 5  # the damaged one leaves another alone
    assert sorted(record.together or 0 for record in records.values()) == [0, 1, 1] + [2] * 10
    assert small.contents(tmp_path / "out") == expected


def test_an_image_that_ends_its_workers_is_found_and_given_up(run, folder, tmp_path):
    class KilledError(BaseException):
        pass

    job = BulkJob(run, tmp_path / "out", batch_size=4)
    batches = batches_in(job, folder)[:1]
    poison = batches[0].images[2].name
    deaths, alone = 0, []

    def kills(self, read, *rest):
        alone.append([getattr(one, "image", one).name for one in read])
        if poison in alone[-1]:
            raise KilledError
        return write(self, read, *rest)

    write = Pipeline._write
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pipeline, "_write", kills)
        records = None
        while records is None:
            try:
                records = done(job, batches)
            except KilledError:
                deaths += 1
    assert deaths == 3
    assert [len(names) for names in alone] == [4, 4, 1, 1, 1, 1, 1, 1]
    assert {name for name, record in records.items() if record.status == "failed"} == {poison}
    assert "its worker ended 3 times while this image was worked on" in records[poison].error
    assert {record.together for record in records.values()} == {None, 1}
    assert done(job, batches)[poison].status == "done"  # a new job tries again


def test_a_suspect_waits_for_the_others(run, folder, tmp_path):
    job = BulkJob(run, tmp_path / "out")
    first, second, third = batches_in(job, folder)[:3]
    with Pipeline(job) as worker:
        worker.attempts.begin(second.images[0].name)
        assert worker.feed(first) == []
        assert [number for number, _ in worker.feed(second)] == [first.number, second.number]
        assert worker.idle
        assert worker.attempts.count(second.images[0].name) == 0
        assert worker.feed(third) == []


def test_any_error_of_an_image_is_its_own(run, folder, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise KeyError("odd")

    monkeypatch.setattr(network, "predict_image", fail)
    job = BulkJob(run, tmp_path / "out")
    records = done(job, batches_in(job, folder)[:2])
    assert {record.error for record in records.values()} == {"KeyError: 'odd'"}


def test_a_library_that_one_image_needs(run, tmp_path, monkeypatch):
    folder = small.pictures(tmp_path / "in", 2)
    tifffile.imwrite(folder / "bands.tif", np.zeros((40, 50, 5), np.uint8))
    monkeypatch.setitem(sys.modules, "tifffile", None)
    for images in (small.images_in(folder), bucket_images(f"file://{folder}")):
        job = BulkJob(run, tmp_path / "out")
        records = done(job, list(job.batches(images)))
        error = records.pop("bands").error
        assert "bands.tif (many bands) needs tifffile, which is not installed" in error
        assert {record.status for record in records.values()} == {"done"}


def test_what_cannot_be_written(run, folder, tmp_path, monkeypatch):
    def fail(self, folder):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Prediction, "save", fail)
    job = BulkJob(run, tmp_path / "out")
    batches = batches_in(job, folder)[:1]
    code = errno.ENAMETOOLONG
    (record,) = done(job, batches).values()
    assert record.error == "its name is too long for its results' names"
    code = errno.ENOSPC
    with pytest.raises(LookwiderError, match=r"cannot write the results: .*No space left"):
        done(job, batches)


def test_a_label_map_comes_last(run, folder, tmp_path, monkeypatch):
    moved = []
    path = type(tmp_path)
    replace = path.replace
    monkeypatch.setattr(path, "replace", lambda a, b: (moved.append(b), replace(a, b))[1])
    job = BulkJob(run, tmp_path / "out", probabilities=True)
    done(job, [Batch(0, tuple(small.images_in(folder)[:1]))])
    final = [target.name for target in moved if "work" not in target.parts]
    assert final == ["001_probabilities.npz", "001_overlay.jpg", "001.png"]
