"""Which images go through the network together, and what becomes of those that cannot."""

import time
from concurrent.futures import CancelledError

import numpy as np
import pytest
from tests.web.served import picture

from lookwider.errors import LookwiderError
from lookwider.web.batching import Batcher, Job
from lookwider.web.computing import segment_together
from lookwider.web.settings import ServiceSettings


class Watched:
    """A batcher that begins when the block ends."""

    def __init__(self, models, **settings):
        self.models, self.batches = models, []
        chosen = ServiceSettings(**{"batch_wait": 0.0, **settings})
        self.batcher = Batcher(models, chosen, lambda jobs, seconds: self.batches.append(jobs))

    def __enter__(self):
        return self

    def job(self, image, model="plain"):
        found = Job(self.models[model], image, confidence=False)
        self.batcher.submit(found)
        return found

    def __exit__(self, *error):
        self.batcher.start()
        self.batcher.close()


def test_images_of_one_size_and_model_go_together_oldest_first(models):
    with Watched(models) as watched:
        small = [watched.job(picture(20, 30, seed)) for seed in range(2)]
        other = watched.job(picture(20, 30), "wide")
        large = watched.job(picture(40, 30))
        small.append(watched.job(picture(20, 30, 5)))
    assert watched.batches == [small, [other], [large]]
    for job in (*small, other, large):
        expected = job.model.plain().predict(job.pixels).labels
        np.testing.assert_array_equal(job.answer.result().labels, expected)


@pytest.mark.parametrize(
    ("settings", "sizes"),
    [
        ({"max_batch": 3}, [3, 2]),
        ({"batch_pixels": 1200}, [2, 2, 1]),
        ({"batch_pixels": 1}, [1] * 5),
    ],
)
def test_batches_are_limited_by_images_and_by_pixels(models, settings, sizes):
    with Watched(models, **settings) as watched:
        for seed in range(5):
            watched.job(picture(20, 30, seed))
    assert [len(batch) for batch in watched.batches] == sizes


def test_a_batch_waits_a_moment_for_more(models):
    watched = Watched(models, batch_wait=5.0, max_batch=2)
    watched.batcher.start()
    watched.job(picture(20, 30))
    time.sleep(0.05)
    watched.job(picture(20, 30, 1)).answer.result(timeout=20)
    watched.batcher.close()
    assert [len(batch) for batch in watched.batches] == [2]


def test_what_no_one_waits_for_is_not_computed(models):
    with Watched(models) as watched:
        left = [watched.job(picture(20, 30, seed)) for seed in range(3)]
        assert watched.batcher.waiting_pixels == 3 * 600
        for job in left[:2]:
            assert job.answer.cancel()
    assert watched.batches == [[left[2]]]


def test_when_all_have_left_the_next_is_still_computed(models):
    watched = Watched(models)
    for seed in range(2):
        assert watched.job(picture(20, 30, seed)).answer.cancel()
    watched.batcher.start()
    while watched.batcher.waiting_pixels:
        time.sleep(0.01)
    last = watched.job(picture(20, 30))
    last.answer.result(timeout=20)
    watched.batcher.close()
    assert watched.batches == [[last]]


def test_large_images_do_not_take_the_places_of_small_ones_that_left(models):
    with Watched(models, batch_pixels=1200) as watched:
        left = watched.job(picture(2, 3))
        large = [watched.job(picture(40, 30, seed)) for seed in range(3)]
        assert left.answer.cancel()
    assert watched.batches == [[job] for job in large]


def test_batches_are_parted_where_the_memory_is_small(models, monkeypatch):
    sizes = []

    def counted(model, images, confidence):
        sizes.append(len(images))
        return segment_together(model, images, confidence)

    monkeypatch.setattr("lookwider.web.batching.segment_together", counted)
    with Watched(models) as watched:
        watched.batcher.prepare(models["plain"])
        watched.batcher._at_once["plain"] = 1300
        jobs = [watched.job(picture(20, 30, seed)) for seed in range(5)]
    assert (watched.batches, sizes) == ([jobs], [2, 2, 1])
    for job in jobs:
        expected = models["plain"].plain().predict(job.pixels).labels
        np.testing.assert_array_equal(job.answer.result().labels, expected)


def test_tiles_end_when_no_one_waits_any_more(models):
    watched = Watched(models)
    watched.batcher.prepare(models["plain"])
    watched.batcher._at_once["plain"] = 250_000
    with watched:
        job = watched.job(picture(500, 620))
        job.left = True
    assert isinstance(job.answer.exception(), CancelledError)
    assert watched.batches == []


def test_an_image_that_cannot_be_segmented_does_not_stop_the_others(models, monkeypatch):
    images = [picture(20, 30, seed) for seed in range(3)]

    def strict(model, batch, confidence):
        if any(image is images[1] for image in batch):
            raise LookwiderError("scores are NaN")
        return segment_together(model, batch, confidence)

    monkeypatch.setattr("lookwider.web.batching.segment_together", strict)
    with Watched(models) as watched:
        jobs = [watched.job(image) for image in images]
    assert str(jobs[1].answer.exception()) == "scores are NaN"
    for job in (jobs[0], jobs[2]):
        expected = models["plain"].plain().predict(job.pixels).labels
        np.testing.assert_array_equal(job.answer.result().labels, expected)


def test_whatever_goes_wrong_is_told_to_who_waits(models, monkeypatch):
    def fail(*arguments):
        raise RuntimeError("broken")

    monkeypatch.setattr("lookwider.web.batching.segment_together", fail)
    with Watched(models) as watched:
        jobs = [watched.job(picture(20, 30, seed)) for seed in range(2)]
    assert [str(job.answer.exception()) for job in jobs] == ["broken", "broken"]


def test_what_goes_wrong_in_the_figures_does_not_stop_the_others(models):
    def fail(jobs, seconds):
        raise RuntimeError("no figures")

    batcher = Batcher(models, ServiceSettings(batch_wait=0.0), fail)
    batcher.start()
    for _ in range(2):
        job = Job(models["plain"], picture(20, 30), confidence=False)
        batcher.submit(job)
        with pytest.raises(RuntimeError, match="no figures"):
            job.answer.result(timeout=20)
    batcher.close()
