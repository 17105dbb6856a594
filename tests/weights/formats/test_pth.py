"""PyTorch's files: what torch.load reads is read, what costs or executes anything is not."""

import os
import pickle
import struct
from collections import OrderedDict

import numpy as np
import pytest
import torch
from tests.weights.formats.pth_files import FORMS, assert_same, network, refuses, saved
from torch import nn

from lookwider.errors import CheckpointError
from lookwider.weights.formats import pickle_check, read_pth
from lookwider.weights.formats.kinds import LEGACY_PTH


@pytest.mark.parametrize("form", FORMS)
def test_reads_what_torch_load_reads(tmp_path, form):
    path = saved(tmp_path, network().state_dict(), form)
    assert_same(read_pth(path), torch.load(path, weights_only=True))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model"])
def test_unwraps_training_checkpoints(tmp_path, form, key):
    net = nn.DataParallel(network())
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    net.module(torch.ones(1, 3, 5, 5)).sum().backward()
    optimiser.step()
    content = {
        "epoch": 3,
        "best_mean_iu": np.float64(0.65),
        "iteration": np.int64(7),
        "done": np.bool_(True),
        "arch": "FCN32s",
        "losses": [0.1, None, (1, 2)],
        key: net.state_dict(),
        "optimizer": optimiser.state_dict(),
    }
    assert_same(read_pth(saved(tmp_path, content, form)), net.module.state_dict())


def test_reads_a_numpy_number_of_before_numpy_2(tmp_path):
    path = saved(tmp_path, {"best": np.float64(0.5), "state_dict": {"a": torch.ones(1)}}, "legacy")
    older = path.read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    path.write_bytes(older)
    assert_same(read_pth(path), {"a": torch.ones(1)})


def test_what_a_program_allows_torch_to_load_stays_allowed(tmp_path):
    path = saved(tmp_path, {"best": np.float64(0.5), "state_dict": {"a": torch.ones(1)}})
    before = set(torch.serialization.get_safe_globals())
    with torch.serialization.safe_globals([np.dtype]):
        read_pth(path)
        assert set(torch.serialization.get_safe_globals()) == before | {np.dtype}


@pytest.mark.parametrize("form", FORMS)
def test_every_kind_of_tensor(tmp_path, form):
    kinds = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32]
    kinds += [torch.int16, torch.int8, torch.uint8, torch.bool]
    state = {str(kind): torch.tensor([1, 0, 1]).to(kind) for kind in kinds}
    shared = torch.arange(12.0)
    state |= {"empty": torch.zeros(0, 3), "scalar": torch.tensor(2.0), "tied": shared}
    state |= {"view": shared[3:9].reshape(2, 3), "turned": shared.reshape(3, 4).T}
    content = {**state, "parameter": nn.Parameter(torch.ones(2))}
    expected = state | {"parameter": torch.ones(2)}
    assert_same(read_pth(saved(tmp_path, content, form)), expected)


def test_the_prefix_is_kept_when_not_all_have_it(tmp_path):
    state = {"module.a": torch.ones(1), "b": torch.ones(1)}
    assert list(read_pth(saved(tmp_path, state))) == ["module.a", "b"]


def test_the_extension_does_not_matter(tmp_path):
    path = saved(tmp_path, {"a": torch.ones(1)}, name="weights.safetensors")
    assert_same(read_pth(path), {"a": torch.ones(1)})


def python_2_file() -> bytes:
    """Return a file as Python 2 wrote it: byte strings, and a dictionary as a list of pairs."""

    def string(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value

    storage = (
        b"(" + string(b"storage") + b"ctorch\nFloatStorage\n" + string(b"140") + string(b"cpu")
    )
    storage += b"K\x02NtQ"
    tensor = b"ctorch._utils\n_rebuild_tensor\n(" + storage + b"K\x00K\x02\x85K\x01\x85tR"
    pairs = b"](](" + string(b"fc.bias") + tensor + b"ee"
    body = b"\x80\x02ccollections\nOrderedDict\n" + pairs + b"\x85R."
    keys = b"\x80\x02]" + string(b"140") + b"a."
    head = LEGACY_PTH + pickle.dumps(1001, 2) + pickle.dumps({"little_endian": True}, 2)
    return head + body + keys + struct.pack("<qff", 2, 1.5, -2.0)


def test_a_file_of_python_2(tmp_path):
    path = tmp_path / "old.pth"
    path.write_bytes(python_2_file())
    assert_same(read_pth(path), {"fc.bias": torch.tensor([1.5, -2.0])})


class Payload:
    """Calls a function when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("where", ["top", "beside", "inside", "key"])
@pytest.mark.parametrize("function", ["os.system", "builtins.exec", "builtins.eval"])
def test_a_payload_is_not_executed(tmp_path, form, where, function):
    marker = tmp_path / "marker"
    code = f"open({str(marker)!r}, 'w').close()"
    payload = {
        "os.system": Payload(os.system, f"touch {marker}"),
        "builtins.exec": Payload(exec, code),
        "builtins.eval": Payload(eval, code),
    }[function]
    content = {
        "top": payload,
        "beside": {"state_dict": {"a": torch.ones(1)}, "other": payload},
        "inside": {"a": torch.ones(1), "b": payload},
        "key": {"a": torch.ones(1), (payload,): 1},
    }[where]
    path = saved(tmp_path, content, form)
    with pytest.raises(
        CheckpointError, match=r"nothing in it was executed\. .*torch.save\(model\."
    ):
        read_pth(path)
    assert not marker.exists()
    torch.load(path, weights_only=False)
    assert marker.exists(), "the payload itself works"


HOSTILE_OBJECTS = {
    "a large array": (Payload(bytearray, 10**12), r"needs (__builtin__|builtins)\.bytearray"),
    "a large tensor": (Payload(torch.FloatTensor, 10**12), "needs torch.FloatTensor"),
    "a set": ({1}, "needs (__builtin__|builtins).set"),
    "an array": ({"a": np.ones(2)}, r"needs numpy.*_reconstruct, which a file could misuse"),
    "sparse": ({"a": torch.ones(2).to_sparse()}, "needs torch._utils._rebuild_sparse_tensor"),
    "complex": ({"a": torch.ones(2, dtype=torch.complex64)}, "needs torch.ComplexFloatStorage"),
    "a dtype": ({"a": torch.float32}, "needs torch.float32"),
    "a whole model": (nn.ReLU(), "needs torch.nn.modules.activation.ReLU"),
    "a key of tuples": ({"a": torch.ones(1), (1, (2,)): 1}, "keys other than text and numbers"),
    "an ordered key": (Payload(OrderedDict, [[(1,), 2]]), "calls collections.OrderedDict in a way"),
    "an encoder": (Payload(Payload(0).__class__, 1), "needs .*Payload"),
    "a strange encoding": (
        Payload(__import__("_codecs").encode, "a", "zip"),
        "calls _codecs.encode",
    ),
    "a list": ([torch.ones(1)], "holds a list, expected a state dict"),
    "nothing": ({}, "holds no state dict: .* got nothing"),
    "a number inside": (
        {"a": torch.ones(1), "b": 3, "c": None},
        r"holds no state dict: .*state_dict, model_state_dict, model; got 'b' \(int\), 'c' \(None",
    ),
    "a number inside, wrapped": ({"state_dict": {"b": 3}}, r"got 'b' \(int\)"),
    "a name that is a number": ({3: torch.ones(1)}, r"got 3 \(Tensor\)"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("what", HOSTILE_OBJECTS)
def test_objects_that_are_no_state_dict(tmp_path, form, what):
    content, message = HOSTILE_OBJECTS[what]
    refuses(saved(tmp_path, content, form), message)


@pytest.mark.parametrize("form", FORMS)
def test_expanded_tensors(tmp_path, form):
    content = {"a": torch.ones(1).expand(10**6, 10**6)}
    path = saved(tmp_path, content, form)
    assert path.stat().st_size < 5_000
    refuses(path, r"tensor 'a' of shape \[1000000, 1000000\] repeats the few values")


def test_many_views_of_one_storage(tmp_path):
    values = torch.zeros(100_000)
    tied = {name: values.reshape(100, 1000).T for name in "ab"}
    assert len(read_pth(saved(tmp_path, tied))) == 2
    refuses(saved(tmp_path, dict.fromkeys("abcd", values)), "tensor 'c' .* no larger than their")


@pytest.mark.parametrize("form", FORMS)
def test_nesting(tmp_path, form):
    def nested(depth):
        value = {}
        for _ in range(depth):
            value = {"a": value} if depth % 2 else OrderedDict(a=value)
        return {"state_dict": {"w": torch.ones(1)}, "other": value}

    assert list(read_pth(saved(tmp_path, nested(20), form))) == ["w"]
    assert list(read_pth(saved(tmp_path, nested(21), form))) == ["w"]
    refuses(saved(tmp_path, nested(70), form), "nested deeper than 64 levels")
    refuses(saved(tmp_path, nested(71), form), "nested deeper than 64 levels")


def test_long_pickles(tmp_path, monkeypatch):
    path = saved(tmp_path, {"state_dict": {"w": torch.ones(1)}, "log": [1] * 300})
    monkeypatch.setattr(pickle_check, "MAX_OPERATIONS", 200)
    refuses(path, "more than 200 operations")


@pytest.mark.parametrize("form", FORMS)
def test_other_protocols(tmp_path, form):
    path = tmp_path / "weights.pth"
    torch.save({"w": torch.ones(1)}, path, pickle_protocol=4, **FORMS[form])
    if form == "zip":
        refuses(path, "pickle has protocol 4, expected 2")
    else:
        refuses(path, "a Python pickle that torch.save did not write")
