"""A group of images that fails at once is done one by one; a device that is lost ends all."""

import pytest
import torch
from tests.inference.bulk import small

from lookwider.inference.bulk import BulkJob, network
from lookwider.inference.bulk.network import DeviceLostError, is_lost, segment_together
from lookwider.inference.bulk.reading import load_image
from lookwider.weights import load


@pytest.fixture
def job(run, tmp_path):
    return BulkJob(run, tmp_path / "out", batch_size=4)


@pytest.fixture
def loaded(folder, tmp_path):
    """Five images, three and two of one size."""
    names = ("001", "002", "005", "007", "010")
    images = {image.name: image for image in small.images_in(folder)}
    return [load_image(images[name], tmp_path) for name in names]


def limited(monkeypatch, most, error):
    """Let the network take at most so many images at once."""
    whole = network._segment

    def segment(model, job, members):
        if len(members) > most:
            raise error
        return whole(model, job, members)

    monkeypatch.setattr(network, "_segment", segment)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("full"), RuntimeError("not enough memory"), KeyError("odd")]
)
def test_what_fails_at_once_is_done_one_by_one(run, job, loaded, monkeypatch, error):
    model = load(run)
    at_once = segment_together(model, job, loaded)
    assert [one.together for one in at_once] == [3, 2, 2, 3, 3]
    limited(monkeypatch, 1, error)
    one_by_one = segment_together(model, job, loaded)
    assert [one.together for one in one_by_one] == [1] * 5
    for one, other in zip(one_by_one, at_once, strict=True):
        assert one.prediction.name == other.prediction.name
        assert (one.prediction.labels == other.prediction.labels).all()


def test_what_fails_alone_is_said_for_each(run, job, loaded, monkeypatch):
    limited(monkeypatch, 0, torch.OutOfMemoryError("full"))
    for one, image in zip(segment_together(load(run), job, loaded), loaded, strict=True):
        assert one.prediction.startswith(f"{image.image.source}: too large for the memory")


def test_a_lost_device_is_no_images_error(run, job, loaded, monkeypatch):
    limited(monkeypatch, 0, RuntimeError("device-side assert triggered"))
    monkeypatch.setattr(network, "is_lost", lambda device: True)
    with pytest.raises(DeviceLostError, match="assert triggered; the device is lost to it"):
        segment_together(load(run), job, loaded)


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (None, False),
        (torch.OutOfMemoryError("full"), False),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), True),
    ],
)
def test_when_a_device_is_lost(monkeypatch, error, lost):
    def synchronize(device):
        if error is not None:
            raise error

    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    assert is_lost(torch.device("cuda", 0)) is lost
    assert not is_lost(torch.device("cpu"))
