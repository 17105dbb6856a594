"""Pages, their work and their wishes."""

import threading
from pathlib import Path

import numpy as np
import pytest
from gradio.utils import get_upload_folder
from tests.web.served import encoded, picture

from lookwider.errors import DataError, LookwiderError
from lookwider.web.problems import ProblemError
from lookwider.web.studio.samples import SAMPLES
from lookwider.web.studio.sessions import Opened, Sessions
from lookwider.web.studio.wishes import Source, Wish, understood
from lookwider.web.studio.work import Done, Progress, StoppedError, Work


@pytest.fixture
def upload(tmp_path, monkeypatch):
    """Return what puts a file where uploads go."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))

    def put(content, name="photo.png"):
        folder = Path(get_upload_folder()) / "abc"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        return folder / name

    return put


def test_an_upload_is_opened_and_deleted(upload):
    pixels = picture(20, 30)
    path = upload(encoded(pixels))
    opened = Source(upload=str(path)).open(1000)
    assert np.array_equal(opened.image, pixels)
    assert opened.name == "photo"
    assert not path.exists()
    with pytest.raises(DataError, match="not there any more; open it again"):
        Source(upload=str(path)).open(1000)


def test_damaged_and_huge_uploads_are_refused_and_deleted(upload):
    for content, message in (
        (b"no image", "got 8 bytes that begin with .* expected an image"),
        (encoded(picture(20, 30))[:300], "damaged or truncated"),
        (encoded(picture(40, 30)), "got an image of 40 x 30 pixels, expected at most 1,000"),
    ):
        path = upload(content)
        with pytest.raises(ProblemError, match=message):
            Source(upload=str(path)).open(1000)
        assert not path.exists()


def test_no_other_file_can_be_opened(upload, tmp_path):
    secret = upload(b"secret").parents[2] / "secret.png"
    secret.write_bytes(encoded(picture(9, 9)))
    link = Path(get_upload_folder()) / "link.png"
    link.symlink_to(secret)
    for path in ("/etc/passwd", f"{get_upload_folder()}/../secret.png", str(link), "."):
        with pytest.raises(DataError, match="got a file that was not uploaded"):
            Source(upload=path).open(1000)
    assert secret.exists()


@pytest.mark.parametrize(
    "data",
    [None, [], {"model": 3}, {"model": "a", "x": 1}, {"model": "a", "image": {}},
     {"model": "a", "image": {"sample": len(SAMPLES)}}, {"model": "a", "against": "all"}],
)  # fmt: skip
def test_other_requests_than_the_pages_are_refused(data):
    with pytest.raises(LookwiderError, match="expected its own; reload the page"):
        understood(Wish, data)


def test_samples_are_the_same_blobs_in_other_places():
    images = [sample.paint((32, 40)) for sample in SAMPLES]
    assert len({image.tobytes() for image in images}) == len(SAMPLES)
    assert SAMPLES[-1].paint((32, 40)).shape == (32, 40, 3)


def test_pages_are_forgotten_when_they_hold_too_much():
    sessions = Sessions(most_bytes=30_000)
    opened = [Opened(picture(60, 80), str(i)) for i in range(3)]  # 14,400 bytes each
    for i in range(3):
        sessions.of(str(i)).look_at(opened[i])
    sessions.of("2")
    assert sessions.find(opened[0].token) is None
    assert sessions.find(opened[2].token) is opened[2]
    assert sessions.find("") is None
    sessions.forget("2")
    assert sessions.find(opened[2].token) is None
    sessions.forget("2")
    assert len(sessions) == 1


def test_work_tells_and_ends():
    def task(tell):
        tell(0.5, "half")
        return 7

    assert list(Work().run(task)) == [Progress(0.5, "half"), Done(7)]

    def fails(tell):
        raise DataError("broken")

    with pytest.raises(DataError, match="broken"):
        list(Work().run(fails))


def test_work_stops_when_it_is_told_to_and_when_it_is_left():
    ended = threading.Event()

    def task(tell):
        try:
            while True:
                tell(0.0, "on")
        finally:
            ended.set()

    work = Work()
    news = work.run(task)
    next(news)
    work.stop()
    with pytest.raises(StoppedError):
        list(news)
    ended.clear()
    left = Work().run(task)
    next(left)
    left.close()
    assert ended.wait(10)
