"""What counts against an image: the end of its worker, not the end of the job."""

from lookwider.inference.bulk.attempts import Attempts


def test_a_worker_that_leaves_takes_back_its_own(tmp_path):
    dead, leaving = Attempts(tmp_path), Attempts(tmp_path)
    dead.begin("a")
    dead.begin("b")
    assert [leaving.begin(name) for name in "acd"] == [2, 1, 1]
    leaving.end("d")
    leaving.abandon()
    assert [dead.count(name) for name in "abcd"] == [1, 1, 0, 0]


def test_a_stopped_job_takes_back_the_last_time_of_all(tmp_path):
    attempts = Attempts(tmp_path)
    for name in ("a", "b", "b", "c", "c", "c", "c"):
        attempts.begin(name)
    Attempts(tmp_path).forgive()
    assert [attempts.count(name) for name in "abcd"] == [0, 1, 2, 0]
    for _ in range(3):
        attempts.begin("a")
        Attempts(tmp_path).forgive()
    assert attempts.count("a") == 0


def test_an_image_that_was_ended_begins_anew(tmp_path):
    attempts = Attempts(tmp_path)
    for _ in range(3):
        Attempts(tmp_path).begin("a")
    attempts.end("a")
    assert list(tmp_path.iterdir()) == []
    assert attempts.begin("a") == 1
