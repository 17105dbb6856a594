"""A job from images to manifest: resuming, other models, what is there already."""

import pytest
import torch
from tests.inference.bulk import small
from tests.inference.bulk.small import InOneProcess, contents, images_in

from lookwider.errors import ConfigError, LookwiderError
from lookwider.inference.bulk import BulkImage, BulkJob, engines, predict_bulk
from lookwider.inference.bulk.manifest import read_manifest
from lookwider.inference.predictor import PredictionReport
from lookwider.weights import load, save


@pytest.fixture(autouse=True)
def in_one_process(monkeypatch):
    monkeypatch.setattr(engines, "LocalWorkers", InOneProcess)


def segment(run, folder, out, **options):
    job = BulkJob(run, out, batch_size=options.pop("batch_size", 1))
    return predict_bulk(job, images_in(folder), show=False, **options)


def rows(out):
    return {row.name: row for row in read_manifest(out / "manifest.parquet")}


def test_a_second_call_does_only_what_failed(run, expected, tmp_path):
    folder, out = small.pictures(tmp_path / "in", 12), tmp_path / "out"
    (folder / "broken.png").write_text("no image")
    first = segment(run, folder, out)
    assert (len(first.written), first.skipped, len(first.failed)) == (12, [], 1)
    assert contents(out) == expected
    second = segment(run, folder, out)
    assert (second.written, len(second.skipped), len(second.failed)) == ([], 12, 1)
    (folder / "001.png").replace(folder / "broken.png")
    third = segment(run, folder, out)
    assert (third.written, len(third.skipped), third.failed) == (["broken"], 11, [])
    assert rows(out)["broken"].status == "done"
    assert len(rows(out)) == 13  # 001 has gone, its results have not


@pytest.mark.parametrize("batch_size", [1, 5])
def test_a_stopped_job_goes_on_to_the_same_bytes(run, folder, tmp_path, batch_size, monkeypatch):
    whole, out = tmp_path / "whole", tmp_path / "out"
    segment(run, folder, whole, batch_size=batch_size)
    for stop_after in (0, 3, 4):
        report = PredictionReport(13)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(engines, "LocalWorkers", stopping(stop_after))
            with pytest.raises(KeyboardInterrupt):
                segment(run, folder, out, batch_size=batch_size, report=report)
        assert not (out / "manifest.parquet").exists()
    report = segment(run, folder, out, batch_size=batch_size)
    assert len(report.skipped) >= 5
    assert contents(out) == contents(whole)
    for found, wanted in zip(rows(out).values(), rows(whole).values(), strict=True):
        assert (found.name, found.labels_sha256) == (wanted.name, wanted.labels_sha256)


def stopping(after):
    class Stopping(InOneProcess):
        def segment(self, batches):
            seen = 0
            for records in super().segment(batches):
                yield records
                seen += len(records)
                if seen >= after:
                    raise KeyboardInterrupt

    return Stopping


def test_another_model_begins_anew_and_says_it(run, folder, tmp_path, capsys):
    out = tmp_path / "out"
    segment(run, folder, out)
    model = load(run)
    with torch.no_grad():
        for weights in model.parameters():
            weights.mul_(1.5)
    other = save(model, tmp_path / "other" / "best").parent
    report = segment(other, folder, out)
    assert (len(report.written), report.skipped) == (12, [])
    assert "holds results of another model or setting; begun anew" in capsys.readouterr().err
    assert contents(out) == small.one_process(other, folder, tmp_path / "one")


def test_label_maps_of_others_are_left_alone_on_request(run, folder, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "001.png").write_text("mine")
    report = segment(run, folder, out, skip_existing=True)
    assert report.skipped == ["001"]
    assert rows(out)["001"].status == "skipped"
    assert (out / "001.png").read_text() == "mine"
    assert segment(run, folder, out).written == ["001"]
    assert rows(out)["001"].status == "done"


def test_a_job_that_does_not_begin_leaves_no_manifest(run, folder, tmp_path):
    job = BulkJob(run, tmp_path / "out", shift_and_stitch=3)
    with pytest.raises(LookwiderError, match="got shift_and_stitch=3, expected a divisor"):
        predict_bulk(job, images_in(folder), show=False)
    assert not (tmp_path / "out" / "manifest.parquet").exists()


def test_nothing_to_do_is_no_error(run, tmp_path):
    report = predict_bulk(BulkJob(run, tmp_path / "out"), [], show=False)
    assert (report.images, report.written) == (0, [])
    assert rows(tmp_path / "out") == {}


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        ("ab", {"workers": 0}, "got workers=0, expected at least 1"),
        ("ab", {"engine": "rai"}, "unknown engine 'rai'; did you mean 'ray'"),
        ("ab", {"address": "auto"}, "got address=auto without engine=ray"),
        ("aa", {}, "got 2 images whose results would be called 'a', expected names of their own"),
    ],
)
def test_what_does_not_fit(run, tmp_path, images, options, message):
    given = [BulkImage(name, f"{i}/{name}.png") for i, name in enumerate(images)]
    with pytest.raises(ConfigError, match=message):
        predict_bulk(BulkJob(run, tmp_path / "out"), given, **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "got batch_size=0, expected at least 1"),
        ({"readers": 0}, "got readers=0, expected at least 1"),
        ({"out": "s3:/bucket"}, "the results' folder s3:/bucket, expected one that every worker"),
    ],
)
def test_jobs_that_cannot_be(run, tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        BulkJob(**{"run": run, "out": tmp_path, **options})
