"""The page as a browser uses it, over HTTP."""

import io
import json
import secrets
import threading
import time

import numpy as np
import pytest
from PIL import Image
from tests.web.served import encoded, picture, running

from lookwider.images import overlay
from lookwider.probes.network import Network
from lookwider.probes.swap import Zeros, swap_context
from lookwider.web.studio import field
from lookwider.web.studio.samples import SAMPLES

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Gradio, by pandas

IMAGE = picture(64, 80, seed=5)

LONGEST = 120.0
"""Seconds that an answer may take: a lost one is a failure, not a wait without end."""


@pytest.fixture(scope="module", autouse=True)
def few_windows():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(field, "WINDOWS_ACROSS", 2)
        yield


@pytest.fixture(scope="module")
def server(models):
    with running(models, studio=True, max_bytes=200_000, max_pixels=100_000) as found:
        yield found


class Visitor:
    """A browser: asks for events, and takes what comes back."""

    def __init__(self, client):
        self.client = client
        self.page = secrets.token_hex(5)
        config = client.get("/config").json()
        self.config = config
        self.numbers = {
            event: one["id"] for one in config["dependencies"] for _, event in one["targets"]
        }

    def upload(self, content, name="photo.png"):
        answer = self.client.post("/gradio_api/upload", files={"files": (name, content)})
        answer.raise_for_status()
        return answer.json()[0]

    def ask(self, event, data, hear=lambda line: None):
        """Return the properties that are set at the end; all that is said before is heard."""
        body = {
            "data": [],
            "event_data": data,
            "fn_index": self.numbers[event],
            "session_hash": self.page,
        }
        self.client.post("/gradio_api/queue/join", json=body).raise_for_status()
        found, started = {}, time.monotonic()
        query = {"session_hash": self.page}
        with self.client.stream("GET", "/gradio_api/queue/data", params=query) as stream:
            for line in stream.iter_lines():
                hear(line)
                assert time.monotonic() - started < LONGEST, f"no end of {event}: {line}"
                news = json.loads(line.removeprefix("data: ")) if line else {}
                if news.get("msg") == "process_completed":
                    assert news["success"], news
                    found = news["output"]["data"][0]
                    assert "functools" not in line
        return {**found, **found.get("props", {})}

    def pixels(self, address):
        return np.asarray(Image.open(io.BytesIO(self.client.get("/" + address).content)))


@pytest.fixture
def visitor(server):
    return Visitor(server.client)


@pytest.fixture
def looking(visitor):
    """Return a visitor who has opened an image, and what was shown."""
    path = visitor.upload(encoded(IMAGE))
    return visitor, visitor.ask("show", {"image": {"upload": path}, "model": "wide"})


def test_nothing_is_reported_to_anyone(visitor):
    config = visitor.config
    assert config["analytics_enabled"] is False
    assert config["run_history"] is False
    assert config["footer_links"] == []
    page = visitor.client.get("/")
    assert "lookwider studio" in page.text
    assert "fonts.googleapis" not in page.text
    assert "connect-src 'self'" in page.headers["Content-Security-Policy"]
    (catalogue,) = (
        one["props"]["props"]["catalogue"]
        for one in config["components"]
        if one["props"].get("elem_id") == "studio"
    )
    assert [(one["name"], one["context"]) for one in catalogue["models"]] == [
        ("plain", False),
        ("wide", True),
    ]


def test_an_image_is_segmented_as_by_predict(looking, models):
    visitor, shown = looking
    assert shown["progress"]["state"] == "idle"
    expected = models["wide"].fast().predict(IMAGE, probabilities=True)
    (pane,) = shown["value"]["panes"]
    maps = visitor.pixels(pane["maps"])
    assert np.array_equal(maps[..., 0], expected.labels)
    assert np.array_equal(maps[..., 1], np.round(expected.probabilities.max(0) * 255))
    assert {one["name"]: one["area"] for one in pane["classes"]} == expected.areas()
    assert np.array_equal(visitor.pixels(shown["value"]["image"]["source"]), IMAGE)


def test_downloads(looking, models):
    visitor, shown = looking
    (pane,) = shown["value"]["panes"]
    expected = models["wide"].fast().predict(IMAGE)
    labels = visitor.client.get("/" + pane["labels"])
    assert labels.headers["Content-Disposition"].endswith("photo_wide_labels.png")
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(labels.content))), expected.labels)
    laid = visitor.pixels(pane["overlay"] + "?opacity=0.4&hidden=")
    assert np.array_equal(laid, overlay(IMAGE, expected.labels, expected.classes, 0.4))
    figures = visitor.client.get("/" + pane["json"]).json()
    assert {one["name"]: one["area"] for one in figures["classes"]} == expected.areas()
    gone = visitor.client.get("/studio/nothing/labels.png")
    assert gone.status_code == 404
    assert "open the image again" in gone.json()["detail"]


def test_two_networks_and_swapped_contexts(looking, models):
    visitor, _ = looking
    both = visitor.ask("show", {"model": "wide", "against": "model", "rival": "plain"})["value"]
    for pane, name in zip(both["panes"], ("wide", "plain"), strict=True):
        expected = models[name].fast().predict(IMAGE).labels
        assert np.array_equal(visitor.pixels(pane["maps"])[..., 0], expected)
    found = visitor.ask("show", {"model": "wide", "against": "zeros"})["value"]
    swap = swap_context(Network(models["wide"].plain()), IMAGE, Zeros())
    maps = [visitor.pixels(pane["maps"])[..., 0] for pane in found["panes"]]
    assert np.array_equal(maps[1], swap.after)
    assert found["difference"]["share"] == pytest.approx((maps[0] != swap.after).mean())
    missing = visitor.ask("show", {"model": "wide", "against": "other"})
    assert "no picture to take the context of" in missing["progress"]["words"]
    other = {"model": "wide", "against": "other", "other": {"sample": 0}}
    assert visitor.ask("show", other)["value"]["panes"][1]["context"] == SAMPLES[0].name


def test_a_place_and_its_field(looking):
    visitor, shown = looking
    point = visitor.ask("probe", {"pane": 0, "row": 30, "col": 41})["point"]
    maps = visitor.pixels(shown["value"]["panes"][0]["maps"])
    classes = shown["value"]["panes"][0]["classes"]
    likeliest = point["likeliest"][0]
    assert likeliest["name"] == classes[maps[30, 41, 0]]["name"]
    assert likeliest["share"] == maps[30, 41, 1] / 255
    shares = visitor.pixels(point["field"]["source"]) / 255
    inside = (shares > point["field"]["threshold"]).mean()
    assert inside == pytest.approx(point["field"]["shareOfImage"], abs=0.01)
    outside = visitor.ask("probe", {"pane": 0, "row": 64, "col": 0})
    assert "expected a pixel of the image of 64 x 80" in outside["progress"]["words"]


def test_errors_are_kind(visitor):
    for content, words in (
        (encoded(IMAGE)[:500], "damaged or truncated"),
        (b"\0" * 40, "expected an image"),
        (encoded(picture(400, 300), "JPEG"), "expected at most 100,000 pixels"),
    ):
        image = {"upload": visitor.upload(content)}
        progress = visitor.ask("show", {"image": image, "model": "wide"})["progress"]
        assert progress["state"] == "error"
        assert words in progress["words"]
        assert "Traceback" not in progress["words"]
        assert "/" not in progress["words"]
    unknown = visitor.ask("show", {"image": {"sample": 0}, "model": "wild"})
    assert "did you mean 'wide'?" in unknown["progress"]["words"]
    elsewhere = {"image": {"upload": "/etc/hostname"}, "model": "wide"}
    assert "not uploaded" in visitor.ask("show", elsewhere)["progress"]["words"]
    nothing = Visitor(visitor.client).ask("show", {"model": "wide"})
    assert "open it or try a sample" in nothing["progress"]["words"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/segment", 405), ("GET", "/v1/nothing", 404), ("POST", "/metrics", 405)],
)
def test_addresses_for_programs_are_never_the_pages(visitor, method, path, status):
    answer = visitor.client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert f"{method} '{path}'" in answer.json()["got"]


def test_too_many_bytes_are_refused(visitor):
    files = {"files": ("photo.png", bytes(300_000))}
    assert visitor.client.post("/gradio_api/upload", files=files).status_code == 413


def test_a_measurement_is_stopped(looking, models):
    visitor, _ = looking
    found, begun = {}, threading.Event()

    def measure():
        place = {"pane": 0, "row": 0, "col": 0}
        found.update(visitor.ask("probe", place, lambda line: "noise" in line and begun.set()))

    asking = threading.Thread(target=measure)
    with models.computing():  # the field waits for the device
        asking.start()
        assert begun.wait(30)
        body = {"data": [], "fn_index": visitor.numbers["stop"], "session_hash": visitor.page}
        visitor.client.post("/gradio_api/run/predict", json=body).raise_for_status()
    asking.join(30)
    assert found["progress"] == {"state": "stopped", "words": "Stopped."}
