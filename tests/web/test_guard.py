"""Who may ask, and what every answer carries."""

import base64

import pytest
from tests.web.served import encoded, picture, running

TOKEN = "correct-horse-battery-staple"
IMAGE = encoded(picture(20, 20))


@pytest.fixture(scope="module")
def locked(models):
    with running(models, token=TOKEN) as found:
        yield found


def test_without_the_token_nothing_but_health_is_told(locked):
    for path in ("/v1/models", "/v1/models/plain", "/metrics", "/openapi.json", "/", "/nowhere"):
        answer = locked.client.get(path)
        assert answer.status_code == 401, path
        assert TOKEN not in answer.text
    assert locked.segment(IMAGE).status_code == 401
    assert locked.client.get("/health/live").json() == {"status": "live"}
    assert locked.client.get("/health/ready").json() == {"status": "ready"}


@pytest.mark.parametrize(
    "header", ["", "Bearer", f"Bearer {TOKEN}x", f"Token {TOKEN}", "Bearer \xe9"]
)
def test_wrong_tokens(locked, header):
    answer = locked.client.get("/v1/models", headers={"Authorization": header.encode("latin-1")})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["expected"] == "the header Authorization: Bearer TOKEN"


def test_the_right_token(locked):
    headers = {"Authorization": f"bearer {TOKEN}"}
    assert locked.client.get("/v1/models", headers=headers).status_code == 200
    answer = locked.client.post("/v1/segment", headers=headers, content=IMAGE)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("path", "password", "status"),
    [("/", TOKEN, 404), ("/", "wrong", 401), ("/v1/models", TOKEN, 401)],
)
def test_for_the_page_the_token_is_a_password(locked, path, password, status):
    words = base64.b64encode(f"anyone:{password}".encode()).decode()
    answer = locked.client.get(path, headers={"Authorization": f"Basic {words}"})
    assert answer.status_code == status


def test_a_password_that_is_no_base64(locked):
    answer = locked.client.get("/", headers={"Authorization": "Basic ???"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic")


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:80", "", "127.0.0.1.nip"])
def test_on_this_machine_other_hosts_are_refused(server, host):
    answer = server.client.get("/health/live", headers={"Host": host})
    assert answer.status_code == 421
    assert "127.0.0.1, [::1], localhost" in answer.json()["expected"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:5", "[::1]:8000", "[::1]"])
def test_on_this_machine_its_own_names_are_taken(server, host):
    assert server.client.get("/health/live", headers={"Host": host}).status_code == 200


def test_elsewhere_any_host_is_taken(models):
    with running(models, host="0.0.0.0") as found:
        answer = found.client.get("/health/live", headers={"Host": "gpu.example"})
    assert answer.status_code == 200


def test_pages_of_other_sites_are_refused(server):
    answer = server.client.post(
        "/v1/segment", content=IMAGE, headers={"Origin": "https://evil.example"}
    )
    assert answer.status_code == 403
    assert "'https://evil.example'" in answer.json()["got"]
    for odd in ("null", "http://[::1", "", "127.0.0.1"):
        answer = server.client.get("/v1/models", headers={"Origin": odd})
        assert answer.status_code == 403
    own = {"Origin": f"http://127.0.0.1:{server.port}"}
    assert server.client.post("/v1/segment", content=IMAGE, headers=own).status_code == 200


def test_safe_headers_are_everywhere(server):
    for path in ("/v1/models", "/nowhere", "/v1/models/none"):
        headers = server.client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "default-src" in headers["content-security-policy"]
        assert "server" not in headers
        assert "access-control-allow-origin" not in headers
    assert server.client.get("/v1/models").headers["content-security-policy"] == (
        "default-src 'none'; frame-ancestors 'none'"
    )


def test_figures_have_few_addresses(server):
    for path in ("/v1/models/plain", "/v1/models/wide", "/a", "/b"):
        server.client.get(path)
    text = server.client.get("/metrics").text
    assert 'route="/v1/models/{name}",status="200"' in text
    assert 'route="page",status="404"' in text
    assert "/v1/models/wide" not in text
    assert "process_resident_memory_bytes" in text


def test_websockets_are_closed(server):
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    answer = server.client.get("/v1/models", headers=upgrade)
    assert answer.status_code in (200, 400, 403, 426)


def test_uploads_to_the_page_are_limited_too(models):
    with running(models, max_bytes=1000) as found:
        for content in (b"x" * 1001, iter([b"x"])):
            answer = found.client.post("/upload", content=content)
            assert answer.status_code == 413
            assert answer.json()["expected"] == "at most 1,000 bytes"
        assert found.client.post("/upload", content=b"x" * 1000).status_code == 404
