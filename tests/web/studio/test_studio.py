"""The studio without a browser: what is kept when wishes come faster than answers."""

import asyncio
import threading
from contextlib import contextmanager

import numpy as np
import pytest

from lookwider.probes.swap import OtherImage
from lookwider.web.settings import ServiceSettings
from lookwider.web.studio.page import build
from lookwider.web.studio.sessions import Opened, Session
from lookwider.web.studio.studio import Studio

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Gradio, by pandas

PAGE = "page"


@pytest.fixture
def studio(models):
    """Return a studio whose page looks at the first sample through ``wide``."""
    found = Studio(models, ServiceSettings())
    assert "value" in list(found.show(PAGE, {"image": {"sample": 0}, "model": "wide"}))[-1]
    return found


@contextmanager
def waiting(studio, wish):
    """Ask for what waits for the device until the block ends; yield what comes back."""
    found, begun = [], threading.Event()

    def ask():
        for update in studio.show(PAGE, wish):
            found.append(update)
            if update["progress"]["words"] == "segmenting":
                begun.set()

    asking = threading.Thread(target=ask)
    with studio.models.computing():
        asking.start()
        assert begun.wait(30)
        yield found
    asking.join(30)


def test_what_comes_too_late_is_not_taken_for_what_is_shown(studio):
    with waiting(studio, {"model": "plain"}) as late:
        shown = list(studio.show(PAGE, {"model": "wide"}))[-1]["value"]
    assert all("value" not in update for update in late)
    session = studio.sessions.of(PAGE)
    assert [pane.model for pane in session.shown] == ["wide"]
    assert [pane.model for pane in session.panes.values()] == ["wide"]
    assert session.shown[0].token in shown["panes"][0]["maps"]


def test_when_another_picture_is_stopped_the_last_one_still_answers(studio):
    (before,) = studio.sessions.of(PAGE).shown
    with waiting(studio, {"image": {"sample": 1}, "model": "wide"}) as found:
        studio.stop(PAGE)
    assert found[-1]["progress"] == {"state": "stopped", "words": "Stopped."}
    assert studio.sessions.find(before.token) is before
    place = studio.probe(PAGE, {"pane": 0, "row": 3, "col": 4})
    labels = [one["name"] for one in next(place)["point"]["likeliest"]]
    place.close()
    names = before.segmented.classes.names
    assert labels[0] == names[before.segmented.prediction.labels[3, 4]]


def test_panes_with_a_context_that_is_no_longer_borrowed_are_forgotten(studio):
    session = studio.sessions.of(PAGE)
    for number in (1, 2):
        wish = {"model": "wide", "against": "other", "other": {"sample": number}}
        list(studio.show(PAGE, wish))
    borrowed = [how[2] for how in session.panes if isinstance(how[2], OtherImage)]
    assert borrowed == [session.other.context]
    assert len(session.panes) == 2


def test_the_context_of_a_large_picture_is_not_taken(studio):
    session = studio.sessions.of(PAGE)
    session.borrow(Opened(np.zeros((1000, 1501, 3), np.uint8), "large"))
    progress = list(studio.show(PAGE, {"model": "wide", "against": "other"}))[-1]["progress"]
    assert "expected at most 1,500,000 for lending its context" in progress["words"]


def test_a_new_session_keeps_nothing():
    assert (Session().items(), Session().nbytes) == ([], 0)


def test_an_idle_page_leaves_the_processor_alone(studio):
    async def built():  # within an event loop: Gradio leaves new ones open where none runs
        return build(studio)

    assert asyncio.run(built())._queue.sleep_when_free >= 0.05
