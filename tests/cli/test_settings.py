import pytest

from lookwider.cli.settings import parse_settings
from lookwider.errors import ConfigError


def test_settings_by_name() -> None:
    assert parse_settings(["crop-size=96,128", "data=a=b", "--steps= 3 "]) == {
        "crop_size": "96,128",
        "data": "a=b",
        "steps": "3",
    }


def test_wrong_settings() -> None:
    with pytest.raises(ConfigError, match="got 'steps', expected key=value"):
        parse_settings(["steps"])
    with pytest.raises(ConfigError, match="got '=3', expected key=value"):
        parse_settings(["=3"])
    with pytest.raises(ConfigError, match="steps is given twice: '3' and '4'"):
        parse_settings(["steps=3", "steps=4"])
