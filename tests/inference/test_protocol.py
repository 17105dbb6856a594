"""Protocols: the names, what they say of themselves, and what is out of range."""

import json

import pytest

from lookwider.errors import ConfigError
from lookwider.inference import InferenceProtocol, named_protocol
from lookwider.inference.protocol import PROTOCOLS


def test_grids_are_those_of_the_released_test(facts):
    for name, expected in facts("schedules_and_windows")["pspnet_matlab_test"].items():
        size, _, base, _, crop, _, scale = name.split()
        protocol = named_protocol(
            "pspnet", scales=(float(scale),), base_size=int(base), crop_size=(int(crop), int(crop))
        )
        height, width = map(int, size.split("x"))
        (grid,) = protocol.grids((height, width))
        assert list(grid.size) == expected["resized"]
        if not expected["single_crop"]:
            assert [row for row, _ in expected["rows"]] == list(grid.rows)
            assert [col for col, _ in expected["cols"]] == list(grid.cols)


def test_only_the_default_is_plain():
    assert InferenceProtocol() == named_protocol("whole")
    assert named_protocol("whole", scales=(1.0,), stride_rate=0.5).is_plain
    for changes in (
        {"scales": (0.5,)},
        {"scales": (1.0, 1.5)},
        {"flip": True},
        {"crop_size": (9, 9)},
        {"base_size": 512},
        {"extra": 1},
    ):
        assert not named_protocol("whole", **changes).is_plain
    assert not any(PROTOCOLS[name].is_plain for name in ("pspnet", "semseg"))


def test_whole_images_have_one_window_a_scale():
    grids = named_protocol("whole", scales=(0.5, 1.0)).grids((30, 41))
    assert [(grid.size, grid.window, len(grid)) for grid in grids] == [
        ((15, 21), (15, 21), 1),
        ((30, 41), (30, 41), 1),
    ]


def test_words_and_json_say_what_is_done():
    assert InferenceProtocol().describe() == "whole, one scale, not flipped"
    assert named_protocol("pspnet").describe() == (
        "windows of 473 x 473 every 316 x 316 pixels (smaller images padded at the bottom and "
        "right with the mean colour), scales 0.5, 0.75, 1, 1.25, 1.5, 1.75 of 512 pixels + 1 on "
        "the longer side, antialiased when shrunk, flipped too (sum of logits)"
    )
    assert named_protocol("semseg", scales=(1.0,)).describe() == (
        "windows of 473 x 473 every 316 x 316 pixels (smaller images padded on all sides with the "
        "mean colour), scale 1 of 512 pixels on the longer side, not antialiased, flipped too "
        "(mean of the probabilities)"
    )
    own = named_protocol("whole", scales=(0.5, 1.0))
    assert "whole, scales 0.5, 1 of its own size on the longer side" in own.describe()
    stored = json.loads(json.dumps(named_protocol("pspnet").to_json()))
    assert stored["crop_size"] == [473, 473]
    assert stored["scales"][0] == 0.5
    assert stored["flip_mean"] == "logits"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scales": ()}, r"got scales=, expected positive numbers, e.g. 0.5,1,1.5"),
        ({"scales": (1.0, 0.0)}, r"got scales=1,0, expected positive"),
        ({"scales": (float("nan"),)}, r"got scales=nan, expected positive"),
        ({"crop_size": (473, 0)}, r"got crop_size=473,0, expected at least 1"),
        ({"base_size": 0}, r"got base_size=0, expected at least 1"),
        ({"stride_rate": 0.0}, r"got stride_rate=0, expected more than 0 and at most 1"),
        ({"stride_rate": 1.5}, r"got stride_rate=1.5, expected more than 0 and at most 1"),
        ({"padding": "arround"}, r"unknown padding 'arround'; did you mean 'around'"),
        ({"flip_mean": "logit"}, r"unknown flip_mean 'logit'; did you mean 'logits'"),
        ({"resize": "pillow"}, r"unknown resize 'pillow'.*known: matlab, opencv"),
    ],
)
def test_values_out_of_range_are_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        named_protocol("pspnet", **changes)


def test_unknown_names_have_a_closest():
    with pytest.raises(ConfigError, match="unknown protocol 'pspent'; did you mean 'pspnet'"):
        named_protocol("pspent")
