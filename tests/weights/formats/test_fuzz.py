"""Random and damaged files: a reader returns or raises CheckpointError, and takes little memory."""

import io
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors.torch import save
from tests.weights.caffe_writer import write_caffemodel

from lookwider.errors import CheckpointError
from lookwider.weights.formats import read_caffemodel, read_pth, read_safetensors, read_weights
from lookwider.weights.formats.kinds import LEGACY_PTH

FIXED = settings(
    deadline=None,
    max_examples=60,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
STATE = {"conv.weight": torch.arange(6.0).reshape(2, 3), "conv.bias": torch.tensor([1.0, 2.0])}
MOST_MEMORY = 2_000_000
"""Bytes of Python's and NumPy's memory for a file of a few hundred bytes."""

STARTS = [b"", b"\x0a\x03net\xa2\x06", b"PK\x03\x04", LEGACY_PTH, b"\x10\0\0\0\0\0\0\0{"]
READERS: dict[str, Callable] = {
    "caffe": read_caffemodel,
    "v1": read_caffemodel,
    "zip": read_pth,
    "legacy": read_pth,
    "safe": read_safetensors,
}


@pytest.fixture(scope="module")
def valid(tmp_path_factory) -> dict[str, bytes]:
    """Return the bytes of one good file of each kind."""
    folder = tmp_path_factory.mktemp("valid")
    arrays = [np.asarray(tensor) for tensor in STATE.values()]
    layers = [("data", "Data", []), ("fc", "InnerProduct", arrays)]
    files = {"safe": save(STATE)}
    for kind, v1 in (("caffe", False), ("v1", True)):
        path = write_caffemodel(folder / kind, "net", layers, v1=v1, legacy_shape=v1)
        files[kind] = path.read_bytes()
    for kind, new in (("zip", True), ("legacy", False)):
        buffer = io.BytesIO()
        content = {"epoch": np.float64(2), "state_dict": STATE}
        torch.save(content, buffer, _use_new_zipfile_serialization=new)
        files[kind] = buffer.getvalue()
    return files


def survive(reader: Callable, tmp_path, data: bytes) -> None:
    path = tmp_path / "weights"
    path.write_bytes(data)
    message = str(path)
    tracemalloc.start()
    try:
        reader(path)
    except CheckpointError as error:
        message = str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert message.startswith(str(path))
    assert peak < MOST_MEMORY


@pytest.mark.parametrize("kind", READERS)
def test_the_good_files_are_good(tmp_path, valid, kind):
    path = tmp_path / "weights"
    path.write_bytes(valid[kind])
    READERS[kind](path)


@FIXED
@given(start=st.sampled_from(STARTS), data=st.binary(max_size=200))
@example(start=b"", data=b"\x80\x02.")
def test_random_bytes(tmp_path, start, data):
    survive(read_weights, tmp_path, start + data)


@pytest.mark.parametrize("kind", READERS)
@FIXED
@given(part=st.floats(0, 1))
def test_truncated_files(tmp_path, valid, kind, part):
    data = valid[kind]
    survive(READERS[kind], tmp_path, data[: int(part * len(data))])


@pytest.mark.parametrize("kind", READERS)
@FIXED
@given(
    changes=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4
    )
)
def test_changed_bytes(tmp_path, valid, kind, changes):
    data = bytearray(valid[kind])
    for place, byte in changes:
        data[int(place * len(data))] = byte
    survive(READERS[kind], tmp_path, bytes(data))
