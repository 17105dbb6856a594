"""Too much, too slow, too late: each is told, and nobody else is hindered."""

import asyncio
import shutil
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from tests.web.served import encoded, picture, running

from lookwider.web.models import ServedModels

IMAGE = encoded(picture(40, 52))


def head(length):
    return (
        b"POST /v1/segment?masks=none HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Length: %d\r\n\r\n" % length
    )


def answered(connection):
    """Return all that a server sends until it closes."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.fixture(scope="module")
def tight(models):
    with running(models, max_bytes=50_000, max_pixels=5000, queue=3) as found:
        yield found


@pytest.fixture(scope="module")
def hasty(models, tight):
    assert tight.segment(IMAGE).status_code == 200  # the first image takes longest
    with running(models, timeout=1.0) as found:
        yield found


def pieces(count):
    for _ in range(count):
        yield b"x" * 10_000


def test_bodies_are_refused_by_their_length_and_without_one(tight):
    for content in (b"x" * 50_001, pieces(1000)):
        answer = tight.segment(content)
        assert answer.status_code == 413
        assert answer.json()["expected"] == "at most 50,000 bytes"
        assert answer.headers["connection"] == "close"


def test_a_declared_length_is_refused_before_the_body(tight):
    with socket.create_connection(("127.0.0.1", tight.port), timeout=20) as connection:
        connection.sendall(head(10**12))
        assert connection.recv(12) == b"HTTP/1.1 413"
    with socket.create_connection(("127.0.0.1", tight.port), timeout=20) as connection:
        connection.sendall(head(10**12).replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
        assert answered(connection).startswith(b"HTTP/1.1 413")  # it is not asked to continue


def test_a_form_is_limited_as_a_body_is(tight):
    answer = tight.client.post("/v1/segment", files={"image": b"x" * 60_000})
    assert answer.status_code == 413


def test_images_are_refused_by_their_pixels(tight):
    answer = tight.segment(encoded(picture(51, 99)))
    assert answer.status_code == 413
    assert answer.json()["got"] == "an image of 51 x 99 pixels"
    assert tight.segment(encoded(picture(50, 100))).status_code == 200


def test_a_body_that_comes_too_slowly_is_ended(hasty):
    with socket.create_connection(("127.0.0.1", hasty.port), timeout=20) as connection:
        connection.sendall(head(len(IMAGE)) + IMAGE[:100])
        assert answered(connection).startswith(b"HTTP/1.1 408")
    assert hasty.segment(IMAGE).status_code == 200


def test_a_slow_body_that_comes_in_time_is_answered(tight):
    with socket.create_connection(("127.0.0.1", tight.port), timeout=20) as connection:
        connection.sendall(head(len(IMAGE)))
        for place in range(0, len(IMAGE), len(IMAGE) // 5 + 1):
            connection.sendall(IMAGE[place : place + len(IMAGE) // 5 + 1])
            time.sleep(0.02)
        assert connection.recv(12) == b"HTTP/1.1 200"


def test_a_full_queue_says_when_to_come_back(tight):
    with ThreadPoolExecutor(3) as threads, tight.models.computing():
        waiting = [threads.submit(tight.segment, IMAGE) for _ in range(3)]
        tight.until(lambda: tight.service.admission.count == 3)
        refused = tight.segment(IMAGE)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json()["got"] == "one more image, with 3 images waiting"
        assert tight.client.get("/health/ready").status_code == 200
    assert [answer.result().status_code for answer in waiting] == [200] * 3


def test_turns_that_do_not_come_and_work_that_takes_too_long(hasty):
    with ThreadPoolExecutor(2) as threads, hasty.models.computing():
        first = threads.submit(hasty.segment, encoded(picture(30, 30)))
        hasty.until(lambda: hasty.service.admission.count == 1)
        time.sleep(0.1)
        second = threads.submit(hasty.segment, IMAGE)
        late, never = first.result(), second.result()
    assert late.status_code == 504
    assert "within 1 seconds" in late.json()["expected"]
    assert never.status_code == 503
    assert int(never.headers["retry-after"]) >= 1
    hasty.until(lambda: hasty.service.admission.count == 0)
    assert hasty.segment(IMAGE).status_code == 200


def test_clients_that_leave_make_room(models):
    with running(models, max_batch=1) as server:  # one before the network, four behind it

        async def leave():
            async with (
                asyncio.timeout(60),
                httpx.AsyncClient(base_url=server.url, trust_env=False) as client,
            ):
                sending = [
                    asyncio.create_task(client.post("/v1/segment", content=IMAGE)) for _ in range(5)
                ]
                while (
                    server.service.admission.count < 5 or not server.service.batcher.waiting_pixels
                ):
                    await asyncio.sleep(0.01)
                await asyncio.sleep(0.2)
                for task in sending:
                    task.cancel()

        with models.computing():
            asyncio.run(leave())
            server.until(lambda: server.service.admission.count == 0)
        assert server.segment(IMAGE).status_code == 200
        assert server.service.batcher.waiting_pixels == 0
        text = server.client.get("/metrics").text
    assert 'lookwider_requests_total{route="/v1/segment",status="499"} 5.0' in text


def test_memory_is_shared_out_before_images_are_decoded(models):
    with running(models, max_memory=2 * 16 * 60_000) as server:
        one = encoded(picture(200, 200))
        refused = server.segment(encoded(picture(300, 300)))
        assert refused.status_code == 413
        assert "MB" in refused.json()["expected"]
        with ThreadPoolExecutor(1) as threads, models.computing():
            first = threads.submit(server.segment, one, masks="none")
            server.until(lambda: server.service.admission.held > 16 * 40_000)
            busy = server.segment(one)
        assert busy.status_code == 429
        assert "as many images as there is memory for" in busy.json()["got"]
        assert first.result().status_code == 200
        assert server.service.admission.held == 0


def test_what_was_accepted_is_finished_and_no_more_is_taken(models):
    with ThreadPoolExecutor(4) as threads, running(models) as server:
        with models.computing():
            accepted = [threads.submit(server.segment, IMAGE) for _ in range(4)]
            server.until(lambda: server.service.admission.count == 4)
            server.service.admission.draining = True
            assert server.client.get("/health/ready").status_code == 503
            assert server.client.get("/health/live").status_code == 200
            refused = server.segment(IMAGE)
        assert refused.status_code == 503
        assert refused.json()["title"] == "Shutting down"
        assert [answer.result().status_code for answer in accepted] == [200] * 4


def test_a_mistake_of_ours_says_only_an_id(models, monkeypatch, caplog):
    def fail(labels):
        raise RuntimeError("the secret inside")

    with running(models) as server:
        monkeypatch.setattr("lookwider.web.answers.Runs.of", fail)
        answer = server.segment(IMAGE)
        monkeypatch.undo()
        assert answer.status_code == 500
        assert "secret" not in answer.text
        assert answer.json()["id"] in caplog.text
        assert "the secret inside" in caplog.text
        assert server.segment(IMAGE).status_code == 200


def test_a_model_whose_weights_are_damaged_says_no_path(runs, tmp_path, caplog):
    shutil.copytree(runs, tmp_path / "runs")
    weights = tmp_path / "runs" / "wide" / "best" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with running(ServedModels.open(tmp_path / "runs", "cpu")) as server:
        answer = server.client.post("/v1/segment?model=wide", content=IMAGE)
        assert server.segment(IMAGE).status_code == 200
    assert answer.status_code == 503
    assert answer.json()["got"] == "the model 'wide', whose files are damaged"
    assert str(tmp_path) not in answer.text
    assert str(weights) in caplog.text


def test_a_service_without_its_first_model_is_not_ready(runs, tmp_path, caplog):
    shutil.copytree(runs / "plain", tmp_path / "plain")
    models = ServedModels.open(tmp_path / "plain", "cpu")
    (tmp_path / "plain" / "best" / "model.safetensors").write_bytes(b"")
    with running(models) as server:
        assert server.client.get("/health/live").status_code == 200
        answer = server.client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["got"] == "a service that starts"
    assert "not ready" in caplog.text


def test_threads_end_with_the_server(models):
    before = threading.active_count()
    with running(models) as server:
        assert server.segment(IMAGE).status_code == 200
    assert threading.active_count() <= before
