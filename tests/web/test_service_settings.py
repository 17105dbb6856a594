"""Limits are checked when they are set."""

import pytest

from lookwider.errors import ConfigError
from lookwider.web.settings import ServiceSettings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"queue": 0}, "got queue=0, expected a positive number"),
        ({"timeout": -1.0}, r"got timeout=-1\.0, expected a positive number"),
        ({"max_pixels": 10**10}, "expected at most 1000000000; larger images are segmented from"),
        ({"port": 70_000}, "got port 70000, expected 0 to 65535"),
        ({"token": "short"}, r"got a token of 5 characters, expected at least 16 .*secrets"),
        ({"token": "with spaces in it all"}, "without spaces"),
        ({"token": "not-äscii-not-ascii"}, "letters, digits or signs"),
    ],
)
def test_what_cannot_be_kept_to_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        ServiceSettings(**settings)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("127.0.0.5", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("gpu.example", False),
    ],
)
def test_who_can_reach_it(host, loopback):
    assert ServiceSettings(host=host).is_loopback is loopback


def test_the_token_is_not_shown():
    assert "secret" not in repr(ServiceSettings(token="secret-secret-secret"))
