"""Caffe's files that lie: told with the byte, and at no cost."""

import math
import tracemalloc

import numpy as np
import pytest
from tests.weights.caffe_writer import blob, tag, text, varint, write_caffemodel
from tests.weights.formats.caffe_layers import floats, layer, read, shape

from lookwider.errors import CheckpointError
from lookwider.weights.formats import read_caffemodel

GOOD = text(1, "net") + layer(shape(2) + floats(2))
HUGE = 2**40
LIES = {
    "no layers": (text(1, "net"), "holds no layers"),
    "length beyond the file": (
        tag(100, 2) + varint(HUGE),
        rf"at byte 0: got {HUGE} bytes of content, expected at most 0",
    ),
    "length beyond the message": (
        layer(shape(2) + tag(5, 2) + varint(HUGE) + bytes(8)) + bytes(100),
        rf"got {HUGE} bytes of content, expected at most 8",
    ),
    "truncated number": (b"\x0a\x80", "at byte 1: a number is cut off"),
    "endless number": (b"\x0a" + b"\xff" * 20, "number of more than 10 bytes"),
    "field 0": (b"\x00\x00", "field number 0"),
    "huge field": (varint(2**35 | 1) + bytes(8), "field number"),
    "group": (tag(9, 3) + tag(9, 4), "at byte 0: got wire type 3"),
    "end of a group": (GOOD + tag(9, 4), f"at byte {len(GOOD)}: got wire type 4"),
    "wire type 6": (tag(9, 6), "wire type 6, expected 0, 1, 2 or 5"),
    "truncated fixed": (GOOD + tag(9, 1) + bytes(7), "got 8 bytes of content, expected at most 7"),
    "another type": (tag(1, 0) + b"\x05", "field 1 has wire type 0, expected 2"),
    "blob data as varint": (
        layer(shape(1) + tag(5, 0) + b"\x01"),
        "field 5 has wire type 0, expected 2 or 5",
    ),
    "not UTF-8": (tag(1, 2) + b"\x01\xff" + GOOD, "name that is not UTF-8"),
    "no data": (layer(shape(2)), "a blob holds no values"),
    "empty blob": (layer(b""), "a blob holds no values"),
    "nothing of much": (layer(shape(0, 2**62, 2**62)), "a blob holds no values"),
    "too few": (layer(shape(2, 3) + floats(5)), "a blob of shape 2x3 holds 5 values"),
    "overflow": (layer(shape(2**32, 2**32) + floats(1)), "a blob of shape .* holds 1 values"),
    "wraps to the right product": (layer(shape(2**63 - 1, 2**63 - 1) + floats(1)), "holds 1 val"),
    "no shape": (layer(floats(2)), "a blob of shape one value holds 2 values"),
    "negative dimension": (layer(shape(-1, 2) + floats(2)), "got the dimension -1"),
    "many dimensions": (layer(shape(*[1] * 33) + floats(1)), "more than 32 dimensions"),
    "legacy shape": (
        layer(tag(1, 0) + varint(2) + floats(2)),
        "a blob of shape 2x0x0x0 holds 2 values",
    ),
    "part of a value": (layer(shape(1) + tag(5, 2) + b"\x03abc"), "got 3 bytes of 4-byte values"),
    "both": (
        layer(shape(1) + floats(1) + tag(8, 2) + varint(8) + bytes(8)),
        "both float and double values",
    ),
    "too large for float32": (
        layer(b"".join(blob(np.array([1e300]), double=True))),
        "a value too large for float32",
    ),
    "oldest format": (
        tag(2, 2) + varint(2) + tag(1, 2) + b"\x00",
        "oldest format .* upgrade_net_proto_binary",
    ),
    "many layers": (layer() + (tag(100, 2) + b"\x00") * 20_000, "more than 20000 layers"),
}


@pytest.mark.parametrize("lie", LIES)
def test_lies_are_told_with_the_byte(tmp_path, lie):
    data, message = LIES[lie]
    with pytest.raises(CheckpointError, match=message) as caught:
        read(tmp_path, data)
    assert "not a caffemodel, or damaged or truncated: at byte" in str(caught.value)
    assert "download it again" in str(caught.value)


def test_many_blobs(tmp_path, monkeypatch):
    monkeypatch.setattr("lookwider.weights.formats.caffemodel.MAX_BLOBS", 3)
    one = shape(1) + floats(1)
    assert len(read(tmp_path, layer(one, one) + layer(one)).layers) == 2
    with pytest.raises(CheckpointError, match="more than 3 blobs"):
        read(tmp_path, layer(one, one) + layer(one, one))


@pytest.mark.parametrize("lie", ["length beyond the message", "overflow", "no data", "too few"])
def test_a_lie_costs_no_memory(tmp_path, lie):
    data = LIES[lie][0]
    path = tmp_path / "net.caffemodel"
    path.write_bytes(data)
    peak = peak_memory(path)
    assert peak < 200_000


def test_memory_is_that_of_the_tensors(tmp_path):
    values = np.zeros(1_000_000, dtype=np.float32)
    for packed, size in ((True, 1_000_000), (False, 5_000)):
        path = write_caffemodel(
            tmp_path / "net", "net", [("a", "Convolution", [values[:size]])], packed=packed
        )
        assert math.isclose(peak_memory(path), 4 * size, rel_tol=0.05, abs_tol=200_000)


def peak_memory(path) -> int:
    """Return the most memory that reading takes, or failing to."""
    tracemalloc.start()
    try:
        read_caffemodel(path)
    except CheckpointError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak
