"""The protocol's settings, from words to values."""

import pytest

from lookwider.cli.protocol import PROTOCOL_SETTINGS, parse_protocol
from lookwider.errors import ConfigError
from lookwider.inference import InferenceProtocol, named_protocol


def test_nothing_given_is_the_default():
    assert parse_protocol({}) == InferenceProtocol()
    assert parse_protocol(dict.fromkeys(PROTOCOL_SETTINGS)) == InferenceProtocol()


def test_words_become_values():
    values = {"scales": "0.5, 1,1.5", "flip": "True", "crop_size": "473", "base_size": "512"}
    assert parse_protocol(values) == InferenceProtocol(
        scales=(0.5, 1.0, 1.5), flip=True, crop_size=(473, 473), base_size=512
    )
    cityscapes = {"protocol": "pspnet", "crop_size": "713,713", "base_size": "2048"}
    assert parse_protocol(cityscapes) == named_protocol(
        "pspnet", crop_size=(713, 713), base_size=2048
    )
    whole = {"protocol": "semseg", "crop_size": "none", "base_size": "none", "flip": "false"}
    chosen = parse_protocol(whole)
    assert (chosen.crop_size, chosen.base_size, chosen.flip) == (None, None, False)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"scales": ""}, "got scales=, expected numbers with commas, e.g. 0.5,1,1.5"),
        ({"scales": "half"}, "got scales=half, expected numbers with commas"),
        ({"flip": "maybe"}, "got flip=maybe, expected true or false"),
        ({"crop_size": "1,2,3"}, "got crop_size=1,2,3, expected a side, height,width or none"),
        ({"crop_size": "a"}, "got crop_size=a, expected a side"),
        ({"base_size": "5.5"}, "got base_size=5.5, expected a number of pixels or none"),
        ({"stride_rate": "2/3"}, "got stride_rate=2/3, expected a number, e.g. 0.667"),
        ({"protocol": "hole"}, "unknown protocol 'hole'; did you mean 'whole'"),
    ],
)
def test_what_is_no_value_is_named(values, message):
    with pytest.raises(ConfigError, match=message):
        parse_protocol(values)
