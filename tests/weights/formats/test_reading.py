"""safetensors files, the damaged ones too."""

import json
import struct

import pytest
import torch
from safetensors.torch import save_file

from lookwider.errors import CheckpointError
from lookwider.weights.formats import read_safetensors


def test_every_kind_of_tensor(tmp_path):
    kinds = [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.uint8]
    state = {str(kind): torch.tensor([[1, 0]]).to(kind) for kind in kinds}
    state |= {"scalar": torch.tensor(2.0), "empty": torch.zeros(0, 3)}
    save_file(state, tmp_path / "x.safetensors")
    found = read_safetensors(tmp_path / "x.safetensors")
    assert found.keys() == state.keys()
    for name, tensor in state.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def file_of(tmp_path, header: object, data: bytes = b""):
    text = json.dumps(header).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def entry(shape, end, start=0, dtype="F32"):
    return {"a": {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}}


LIES = {
    "cut": (entry([2], 8), bytes(7), "lists tensors of 8 bytes and holds 7; .* truncated"),
    "left over": (entry([2], 8), bytes(9), "lists tensors of 8 bytes and holds 9"),
    "another size": (entry([3], 8), bytes(8), "lists tensors of 12 bytes and holds 8"),
    "overflow": (entry([2**40, 2**40], 8), bytes(8), r"lists tensors of 48\d* bytes and holds 8"),
    "a hole": (entry([2], 12, start=4), bytes(12), "lists tensors of 8 bytes and holds 12"),
    "other places": (entry([2], 12, start=4), bytes(8), "damaged: .* compare its size and hash"),
    "unknown type": (entry([2], 8, dtype="Q99"), bytes(8), "a is of type 'Q99', expected one of"),
    "negative": (entry([-2], 8), bytes(8), "malformed list of tensors"),
    "no list": ({"a": 3}, b"", "malformed list of tensors"),
    "no offsets": ({"a": {"dtype": "F32", "shape": [0]}}, b"", "damaged"),
}


@pytest.mark.parametrize("lie", LIES)
def test_lies(tmp_path, lie):
    header, data, message = LIES[lie]
    with pytest.raises(CheckpointError, match=f"x.safetensors: {message}"):
        read_safetensors(file_of(tmp_path, header, data))


def test_a_list_that_is_cut(tmp_path):
    path = file_of(tmp_path, entry([2], 8), bytes(8))
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(CheckpointError, match="expected a safetensors file"):
        read_safetensors(path)
