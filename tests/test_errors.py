"""The family of errors and the closest name."""

import pytest

from lookwider.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    LookwiderError,
    MissingExtraError,
    closest,
    unknown_name,
)


def test_users_can_catch_value_error():
    for kind in (CheckpointError, ConfigError, DataError):
        assert issubclass(kind, LookwiderError)
        assert issubclass(kind, ValueError)


def test_a_missing_extra_says_the_command():
    error = MissingExtraError("tifffile", "geo", "reading a.tif")
    assert isinstance(error, ImportError)
    with pytest.raises(MissingExtraError, match=r"pip install 'lookwider\[geo\]'"):
        raise error


def test_the_closest_name_or_none():
    assert closest("stpes", ["steps", "epochs"]) == "steps"
    assert closest("qqq", ["steps", "epochs"]) is None
    assert unknown_name("key", "qqq", ["b", "a"]) == "unknown key 'qqq'; known: a, b"
