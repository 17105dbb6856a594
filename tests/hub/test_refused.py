"""What strangers may upload: refused before it is downloaded."""

import json

import pytest

import lookwider as lw
from lookwider.errors import CheckpointError
from lookwider.weights.description import own_hash

REPO = "ann/roads"


@pytest.fixture
def pushed(hub, run):
    lw.push_to_hub(run, REPO)
    return hub


def refused(hub, message):
    """Check that loading is refused, and that the weights were not asked for."""
    hub.asked.clear()
    with pytest.raises(CheckpointError, match=message):
        lw.from_pretrained(REPO)
    assert not [line for line in hub.asked if line.endswith("/model.safetensors")]


def change_description(hub, change):
    content = json.loads(hub.repos[REPO]["lookwider.json"])
    change(content)
    content["sha256"]["lookwider.json"] = own_hash(content)
    hub.repos[REPO]["lookwider.json"] = json.dumps(content).encode()


@pytest.mark.parametrize("size", [0, 10**12])
def test_weights_of_an_impossible_size(pushed, size):
    pushed.announced["model.safetensors"] = size
    refused(pushed, f"got a model.safetensors of {size} bytes, expected 1 to .*; not downloaded")


def test_a_description_larger_than_any(pushed):
    pushed.announced["lookwider.json"] = 10**9
    refused(pushed, "got a lookwider.json of 1000000000 bytes")
    assert not [line for line in pushed.asked if "/resolve/" in line]


@pytest.mark.parametrize("off", [-100_000, 20 * 1024**2])
def test_weights_that_are_not_as_long_as_described(pushed, off):
    true = len(pushed.repos[REPO]["model.safetensors"])
    pushed.announced["model.safetensors"] = true + off
    refused(pushed, r"lists tensors of \d+ bytes, but model.safetensors has \d+; not downloaded")


def test_a_description_against_its_own_architecture(pushed):
    change_description(pushed, lambda content: content["architecture"].update(in_channels=4))
    refused(
        pushed, r"tensors do not fit the model: .*got F32 \[\d+, 3, .*expected F32 \[\d+, 4,|4,"
    )


def test_a_description_that_was_edited(pushed):
    text = pushed.repos[REPO]["lookwider.json"]
    pushed.repos[REPO]["lookwider.json"] = text.replace(b'"sky"', b'"sea"')
    refused(pushed, "does not match its own hash")


def test_a_model_that_is_none_of_ours(pushed):
    pushed.repos[REPO] = {"pytorch_model.bin": b"a pickle", "config.json": b"{}"}
    refused(pushed, "holds no lookwider.json, model.safetensors, so it is no checkpoint of lookwi")
    assert not [line for line in pushed.asked if "/resolve/" in line]


def test_weights_that_were_changed_on_the_way(pushed):
    weights = bytearray(pushed.repos[REPO]["model.safetensors"])
    weights[-1] ^= 1
    pushed.repos[REPO]["model.safetensors"] = bytes(weights)
    with pytest.raises(CheckpointError, match="damaged or truncated: its SHA-256"):
        lw.from_pretrained(REPO)
