"""`lookwider serve`: a real process, what it says, and how it ends."""

import contextlib
import http.client
import io
import json
import os
import signal
import subprocess
import sys
import time

import httpx
import numpy as np
import pytest
from PIL import Image
from tests.web.served import encoded, picture
from typer.testing import CliRunner

from lookwider import load
from lookwider.cli import app
from lookwider.cli.serve import _warn, read_token
from lookwider.errors import CheckpointError, ConfigError, MissingExtraError
from lookwider.web import server
from lookwider.web.server import listen
from lookwider.web.settings import ServiceSettings

TOKEN = "correct-horse-battery-staple"


def call(*arguments):
    return CliRunner().invoke(app, ["serve", *map(str, arguments)])


def started(process):
    """Return the address that a process prints once it serves."""
    return json.loads(process.stdout.readline())["address"]


class Upload:
    """An image of which half was sent."""

    def __init__(self, address, content):
        self.connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=60)
        self.rest = content[len(content) // 2 :]
        self.connection.putrequest("POST", "/v1/segment?format=png")
        self.connection.putheader("Authorization", f"Bearer {TOKEN}")
        self.connection.putheader("Content-Length", str(len(content)))
        self.connection.endheaders(content[: len(content) // 2])

    def finish(self):
        """Send the other half, and return status and body of the answer."""
        self.connection.send(self.rest)
        answer = self.connection.getresponse()
        return answer.status, answer.read()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.connection.close()


def figures(client):
    return client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).text


def wait_until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def ended(runs):
    """Start a server, ask it, stop it while it works; return what was seen."""
    command = [sys.executable, "-m", "lookwider", "serve", str(runs), "--port", "0"]
    environment = {**os.environ, "LOOKWIDER_TOKEN": TOKEN, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*command, "--no-studio", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        address = started(process)
        images = [picture(60, 80, seed) for seed in range(3)]
        with (
            httpx.Client(base_url=address, timeout=30, trust_env=False) as client,
            contextlib.ExitStack() as connections,
        ):
            uploads = [
                connections.enter_context(Upload(address, encoded(image))) for image in images
            ]
            wait_until(lambda: "lookwider_admitted 3.0" in figures(client))
            process.send_signal(signal.SIGINT)
            wait_until(lambda: client.get("/health/ready").status_code == 503)
            answers = [upload.finish() for upload in uploads]
        errors = process.communicate(timeout=60)[1]
        return {
            "address": address, "images": images, "answers": answers,
            "code": process.returncode, "errors": errors,
        }  # fmt: skip
    finally:
        process.kill()
        process.wait()


def test_what_was_accepted_is_answered_and_right(ended, runs):
    model = load(runs / "plain")
    for image, (status, content) in zip(ended["images"], ended["answers"], strict=True):
        assert status == 200
        with Image.open(io.BytesIO(content)) as labels:
            np.testing.assert_array_equal(np.asarray(labels), model.predict(image).labels)
    assert ended["code"] == 130


def test_it_says_what_is_served_and_how_to_go_on(ended):
    text = ended["errors"]
    assert "serving:   plain; on request also wide" in text
    assert f"{ended['address']}/v1/segment, described in {ended['address']}/openapi.json" in text
    assert "curl --data-binary @photo.jpg" in text
    assert '-H "Authorization: Bearer $LOOKWIDER_TOKEN"' in text
    assert "stop with: Ctrl-C, which finishes what was accepted" in text
    assert "next: send an image" in text
    assert "finishing 3 that were accepted; Ctrl-C again ends at once" in text
    assert "stopped; all that was accepted is answered" in text
    assert "warning" not in text
    assert TOKEN not in text


def test_a_port_that_is_taken(runs):
    with listen(ServiceSettings(port=0)) as other:
        port = other.getsockname()[1]
        result = call(runs, "--port", port, "--no-studio")
    assert isinstance(result.exception, ConfigError)
    assert f"port {port} of 127.0.0.1 is taken by another program" in str(result.exception)
    assert "the next is --port" in str(result.exception)


def test_an_address_of_another_machine(runs):
    result = call(runs, "--host", "192.0.2.1", "--no-studio")
    assert isinstance(result.exception, ConfigError)
    assert "expected an address of this machine" in str(result.exception)


def test_what_cannot_be_served(tmp_path):
    result = call(tmp_path, "--port", 0, "--no-studio")
    assert isinstance(result.exception, CheckpointError)
    assert "holds no lookwider.json" in str(result.exception)


def test_warnings_of_addresses_that_others_reach(capsys):
    for settings, words in (
        (ServiceSettings(), ""),
        (ServiceSettings(host="0.0.0.0"), "nothing asks who they are. Give it a token"),
        (ServiceSettings(host="0.0.0.0", token=TOKEN), "not encrypted: the token neither"),
    ):
        _warn(settings)
        said = " ".join(capsys.readouterr().err.split())
        assert words in said
        assert bool(said) is bool(words)


def test_the_token_comes_from_a_file_or_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("LOOKWIDER_TOKEN", raising=False)
    assert read_token(None) is None
    monkeypatch.setenv("LOOKWIDER_TOKEN", TOKEN)
    assert read_token(None) == TOKEN
    (tmp_path / "token").write_text(f"{TOKEN}-of-a-file\n")
    assert read_token(tmp_path / "token") == f"{TOKEN}-of-a-file"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"cannot be read as a token \(FileNotFoundError\), expected a file with one line"),
        (b"\xff\xfe", r"cannot be read as a token \(UnicodeDecodeError\)"),
        (b" \n", "is empty, expected a token of at least 16 characters"),
    ],
)
def test_files_without_a_token(tmp_path, content, message):
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_token(tmp_path / "token")


def test_without_the_extra_it_says_what_to_install(runs, monkeypatch):
    def absent(*arguments):
        raise ModuleNotFoundError("No module named 'fastapi'", name="fastapi")

    monkeypatch.setattr("lookwider.web.models.ServedModels.open", absent)
    result = call(runs, "--port", 0, "--no-studio")
    assert isinstance(result.exception, MissingExtraError)
    assert "pip install 'lookwider[web]'" in str(result.exception)


def test_ports_without_a_free_one_near(monkeypatch):
    monkeypatch.setattr(server, "PORTS_TRIED", 0)
    with listen(ServiceSettings(port=0)) as other, pytest.raises(ConfigError, match="--port 0"):
        listen(ServiceSettings(port=other.getsockname()[1]))
