"""Hostile files and forms are refused with a reason, and nothing else happens."""

import io
import socket

import pytest
from PIL import Image
from tests.web.hostile import damaged, not_images, odd_but_good, png_bomb, tiff_bands
from tests.web.served import encoded, picture

from lookwider.web.decoding import decode, read_header
from lookwider.web.problems import ProblemAnswer, ProblemError

INSIDE = ("Traceback", "/tmp", "site-packages", "0x7", "object at", "lookwider/", ".py", "PIL")
"""What an answer never says."""

pytestmark = pytest.mark.filterwarnings("ignore")  # Pillow and tifffile warn of much


def refusal(answer):
    """Check an answer that refuses, and return it."""
    assert answer.headers["content-type"] == "application/problem+json"
    assert not [word for word in INSIDE if word in answer.text], answer.text
    problem = ProblemAnswer.model_validate_json(answer.content)
    assert problem.status == answer.status_code
    assert all((problem.title, problem.got, problem.expected, problem.fix, problem.id))
    return problem


@pytest.fixture(scope="module", autouse=True)
def still_alive(server):
    yield
    content = encoded(picture(40, 52))
    assert server.segment(content).status_code == 200
    assert 'status="500"' not in server.client.get("/metrics").text


def test_what_is_no_image_is_told_so(server):
    for name, content in not_images().items():
        answer = server.segment(content)
        assert answer.status_code == 415, name
        assert "PNG, JPEG" in refusal(answer).expected


def test_damaged_and_too_large_images_are_refused(server):
    for name, content in damaged().items():
        answer = server.segment(content)
        assert answer.status_code in (413, 422), (name, answer.text)
        refusal(answer)
    bomb = refusal(server.segment(png_bomb(50_000)))
    assert bomb.got == "an image of 50000 x 50000 pixels"
    assert bomb.expected == "at most 50,000,000 pixels"


def test_bands_are_limited_before_they_are_decoded():
    content = tiff_bands(40, 20)
    with pytest.raises(
        ProblemError, match="bands are 32,000 bytes, expected at most 25,600"
    ) as told:
        read_header(content, 1600)
    assert told.value.status == 413
    upload = read_header(content, 2000)
    assert upload.nbytes == 40 * 40 * 16 + 20 * 40 * 40
    assert decode(upload).shape == (40, 40, 20)
    with pytest.raises(ProblemError, match="of another kind of pixels or shape"):
        decode(read_header(tiff_bands(40, 50), 5000))  # 50 rows, which the header does not say


def test_strange_images_are_segmented(server):
    for name, content in odd_but_good().items():
        answer = server.segment(content, format="png")
        assert answer.status_code == 200, (name, answer.text)
        with Image.open(io.BytesIO(answer.content)) as found:
            assert found.format == "PNG"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=", b"x"),
        ("multipart/form-data; boundary=b", b"no boundary at all"),
        ("multipart/form-data; boundary=" + "b" * 3000, b"x"),
        ("multipart/form-data; boundary=b", b"--b\r\n\r\n\r\n--b--"),
        ("multipart/form-data; boundary=b", b"--b\r\n" + b"X: y\r\n" * 5000),
        ("multipart/form-data; boundary=b", b"--b\r\nX: " + b"y" * 90_000),
        (
            "multipart/form-data; boundary=b",
            b"".join(
                b'--b\r\nContent-Disposition: form-data; name="f%d"\r\n\r\nv\r\n' % number
                for number in range(3000)
            )
            + b"--b--",
        ),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\nx\r\n' * 2
            + b"--b--",
        ),
        (
            "multipart/form-data; boundary=b; charset=nonsense",
            b'--b\r\nContent-Disposition: form-data; name="image"\r\n\r\ntext\r\n--b--',
        ),
    ],
)
def test_forms_that_are_none(server, kind, body):
    answer = server.client.post("/v1/segment", content=body, headers={"Content-Type": kind})
    assert answer.status_code == 400, answer.text
    assert "multipart/form-data with one file" in refusal(answer).expected


def test_compressed_bodies_are_not_unpacked(server):
    answer = server.client.post("/v1/segment", content=b"x", headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 415
    assert "Content-Encoding 'gzip'" in refusal(answer).got


@pytest.mark.parametrize(
    ("query", "status", "got"),
    [
        ("format=gif", 422, "format='gif'"),
        ("simplify=nan", 422, "simplify='nan'"),
        ("simplify=-1", 422, "simplify='-1'"),
        ("opacity=7", 422, "opacity='7'"),
        ("masks=%00", 422, r"masks='\x00'"),
        ("model=../../etc/passwd", 404, "the model '../../etc/passwd'"),
        ("model=" + "x" * 5000, 404, "the model '" + "x" * 100 + "'"),
    ],
)
def test_parameters_that_are_none(server, query, status, got):
    answer = server.client.post(f"/v1/segment?{query}", content=encoded(picture(8, 8)))
    assert answer.status_code == status
    assert refusal(answer).got == got


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/segment", 405),
        ("POST", "/v1/models", 405),
        ("GET", "/v1/models/..%2f..%2fetc%2fpasswd", 404),
        ("GET", "/docs", 404),
        ("GET", "/%00", 404),
        ("TRACE", "/metrics", 405),
    ],
)
def test_addresses_and_methods_that_are_none(server, method, path, status):
    answer = server.client.request(method, path)
    assert answer.status_code == status
    refusal(answer)


@pytest.mark.parametrize(
    "lines",
    [
        b"nonsense\r\n\r\n",
        b"POST /v1/segment HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/segment HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        b"POST /v1/segment HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
        b"POST /v1/segment HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_requests_that_are_none(server, lines):
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(lines)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer[:200]
