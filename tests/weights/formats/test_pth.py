"""PyTorch's files: what torch.load reads is read, what costs or executes anything is not."""

import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from lookwider.errors import CheckpointError
from lookwider.weights.formats import pickle_check, pth, read_pth
from lookwider.weights.formats.kinds import LEGACY_PTH

FORMS = {"zip": {}, "legacy": {"_use_new_zipfile_serialization": False}}


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ConvTranspose2d(4, 2, 4))


def saved(tmp_path, content: object, form: str = "zip", name: str = "weights.pth"):
    path = tmp_path / name
    torch.save(content, path, **FORMS[form])
    return path


def assert_same(found, expected):
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)
        assert not found[name].requires_grad
        assert type(found[name]) is torch.Tensor


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


def refuses(path, message):
    with pytest.raises(CheckpointError, match=message) as caught:
        read_pth(path)
    assert str(caught.value).startswith(f"{path}: ")


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


def rezip(path, *, drop=(), add=(), compression=zipfile.ZIP_STORED):
    """Write the archive's members anew, without some, and with others."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            if name not in drop:
                archive.writestr(name, data)
        for name, data in add:
            archive.writestr(name, data)
    return path


@pytest.fixture
def plain(tmp_path):
    """Return a file of one tensor."""
    return saved(tmp_path, {"w": torch.arange(1000.0)})


def test_an_archive_written_by_others_is_read(plain):
    assert_same(read_pth(rezip(plain)), {"w": torch.arange(1000.0)})


def test_compressed_archives(plain):
    rezip(plain, compression=zipfile.ZIP_DEFLATED)
    refuses(plain, "member .* is compressed or encrypted; .* unpack it first")


def test_archives_of_other_things(plain):
    rezip(plain, drop=["weights/data.pkl"])
    refuses(plain, "zip archive with 0 files data.pkl, expected one")


def test_programs(tmp_path):
    path = tmp_path / "program.pt"
    scripted = rezip(
        saved(tmp_path, {"w": torch.ones(1)}), add=[("weights/constants.pkl", b"\x80\x02).")]
    )
    scripted.rename(path)
    refuses(path, "TorchScript archive, a program; nothing in it was executed")


def test_a_name_twice(plain):
    with pytest.warns(UserWarning, match="Duplicate name"):
        rezip(plain, add=[("weights/data/0", bytes(4000))])
    refuses(plain, "names a member twice")


def test_missing_and_short_storages(plain):
    rezip(plain, drop=["weights/data/0"])
    refuses(plain, "storage '0' has 0 bytes in the file, expected 4000")
    rezip(plain, add=[("weights/data/0", bytes(3996))])
    refuses(plain, "storage '0' has 3996 bytes in the file, expected 4000")


def test_changed_bytes(plain):
    data = bytearray(plain.read_bytes())
    data[data.index(np.arange(900, 910, dtype=np.float32).tobytes())] ^= 1
    plain.write_bytes(data)
    refuses(plain, "member 'weights/data/0' does not match its check sum")


def test_a_damaged_archive(plain):
    data = plain.read_bytes()
    plain.write_bytes(data.replace(b"PK\x01\x02", b"PK\x01\x03"))
    refuses(plain, r"cannot be read \(BadZipFile\): it is damaged, .* nothing in it was executed")


def test_truncated_archives(plain):
    plain.write_bytes(plain.read_bytes()[:-1])
    refuses(plain, "the end of the archive is missing; the file is truncated, download it again")


def test_members(plain, monkeypatch):
    monkeypatch.setattr(pth, "MAX_MEMBERS", 3)
    refuses(plain, r"has \d+ members, expected at most 3")


def test_a_long_list_of_members(plain, monkeypatch):
    length = struct.unpack("<I", plain.read_bytes()[-10:-6])[0]
    monkeypatch.setattr(pth, "MAX_DIRECTORY_BYTES", length - 1)
    refuses(plain, f"list of members has {length} bytes, expected at most {length - 1}")


def test_a_member_larger_than_the_file(plain):
    rezip(plain)  # without 64-bit sizes
    data = bytearray(plain.read_bytes())
    entry = data.rindex(b"weights/data/0") - 46
    assert data[entry : entry + 4] == b"PK\x01\x02"
    data[entry + 20 : entry + 28] = struct.pack("<II", 2**31, 2**31)
    plain.write_bytes(data)
    refuses(plain, "member 'weights/data/0' is larger than the file")


def test_members_over_each_other(plain):
    rezip(plain, add=[(f"weights/data/{i}", b"") for i in range(1, 4)])
    data = bytearray(plain.read_bytes())
    first = data.rindex(b"weights/data/0") - 46
    for i in range(1, 4):
        entry = data.rindex(f"weights/data/{i}".encode()) - 46
        data[entry + 16 : entry + 28] = data[first + 16 : first + 28]  # check sum and sizes
        data[entry + 42 : entry + 46] = data[first + 42 : first + 46]  # where it begins
    plain.write_bytes(data)
    refuses(plain, "its members together are larger than the file")


def legacy(storages: bytes = b"", count: int = 2, keys: bytes = b"U\x01ka", view: bytes = b"N"):
    """Return a file of before 1.6 with one tensor of two values, as the arguments say."""
    storage = b"((U\x07storagectorch\nFloatStorage\nU\x01kU\x03cpuJ" + struct.pack("<i", count)
    tensor = b"ctorch._utils\n_rebuild_tensor\n" + storage + view + b"tQK\x00K\x02\x85K\x01\x85tR"
    head = LEGACY_PTH + pickle.dumps(1001, 2) + pickle.dumps({}, 2)
    return head + b"\x80\x02}U\x01w" + tensor + b"s." + b"\x80\x02]" + keys + b"." + storages


STORED = struct.pack("<qff", 2, 1, 2)
LEGACY_LIES = {
    "no storage": (legacy(), r"storage 'k' has None elements and at most 0 bytes in the file"),
    "cut": (legacy(STORED[:-1]), "at most 7 bytes in the file, expected 2 and 8"),
    "more elements": (
        legacy(struct.pack("<qff", 2**31 - 1, 1, 2), count=2**31 - 1),
        f"has {2**31 - 1} elements and at most 8 bytes",
    ),
    "another count": (legacy(struct.pack("<qff", 3, 1, 2)), "has 3 elements .* expected 2 and 8"),
    "negative": (legacy(struct.pack("<qff", -1, 1, 2), count=-1), "damaged or truncated"),
    "other keys": (legacy(STORED, keys=b"U\x01ja"), "list of storages is not the one"),
    "a key twice": (legacy(STORED * 2, keys=b"U\x01kaU\x01ka"), "list of storages is not the one"),
    "keys of another type": (legacy(STORED, keys=b"]a"), "list of storages is not the one"),
    "a view outside": (legacy(STORED, view=b"(U\x01vK\x01K\x02t"), "damaged or truncated"),
    "cut pickle": (legacy()[:-4], "its pickle is damaged or truncated"),
    "another version": (
        legacy(STORED).replace(pickle.dumps(1001, 2), pickle.dumps(1002, 2)),
        "got the format 1002, expected 1001",
    ),
    "a tensor beyond its storage": (
        legacy(struct.pack("<qf", 1, 1), count=1),
        r"cannot be read \(RuntimeError\)",
    ),
    "two sizes of one storage": (
        legacy(STORED).replace(b"s.\x80\x02]", b"su\x01v.\x80\x02]"),
        "does what no state dict does|damaged",
    ),
}


def test_the_tests_own_file_of_before_1_6(tmp_path):
    path = tmp_path / "old.pth"
    path.write_bytes(legacy(STORED))
    assert_same(read_pth(path), {"w": torch.tensor([1.0, 2.0])})
    path.write_bytes(legacy(STORED, view=b"(U\x01vK\x00K\x02t"))
    assert_same(read_pth(path), {"w": torch.tensor([1.0, 2.0])})


@pytest.mark.parametrize("lie", LEGACY_LIES)
def test_lies_of_files_of_before_1_6(tmp_path, lie):
    data, message = LEGACY_LIES[lie]
    path = tmp_path / "old.pth"
    path.write_bytes(data)
    refuses(path, message)


PICKLES = {
    "state of a class": (b"ccollections\nOrderedDict\n)R}U\x05itemsK\x01sb.", "sets attributes"),
    "state of a type": (
        b"cnumpy\ndtype\nX\x02\0\0\0f8\x89\x88\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffK\x05K\0tb.",
        "sets attributes",
    ),
    "an odd type": (
        b"cnumpy\ndtype\nX\x06\0\0\0V99999\x89\x88\x87R.",
        "calls numpy.dtype in a way",
    ),
    "a call of a number": (b"K\x01)R.", "damaged"),
    "a name with a bell": (b"cos\n\x07system\n.", r"needs os\.\\x07system, which a file could"),
    "a name with escapes": (b"ccollections\nOrdered\\x44ict\n)R.", r"needs collections\.Ordered"),
    "a name that is cut": (b"ccollections\nOrderedDict", "damaged"),
    "a name that is not UTF-8": (b"ccollections\n\xff\n.", "damaged"),
    "no such operation": (b"\xff.", "damaged"),
    "a storage of a long name": (
        b"(U\x07storagectorch\nFloatStorage\nX\x65\0\0\0" + b"k" * 101 + b"U\x03cpuK\x01tQ.",
        "damaged",
    ),
    "a new object": (
        b"ccollections\nOrderedDict\n)\x81.",
        r"does what no state dict does \(NEWOBJ",
    ),
    "too few": (b"\x86.", "damaged"),
    "an empty memo": (b"h\x05.", "damaged"),
    "a mark too many": (b"(K\x01.", "damaged"),
    "a mark too few": (b"t.", "damaged"),
    "two objects": (b"K\x01K\x02.", "damaged"),
    "an odd number of items": (b"}(K\x01u.", "damaged"),
    "items of a number": (b"K\x01K\x02K\x03s.", "damaged"),
    "entries of a number": (b"K\x01K\x02a.", "damaged"),
    "a long text": (b"X\xff\xff\xff\xffabc.", "damaged"),
    "no end": (b"K\x01", "damaged"),
    "a module": (b"(U\x06moduleNNNtQ.", "needs the code of a whole model"),
    "one storage twice": (
        b"]((U\x07storagectorch\nFloatStorage\nU\x01kU\x03cpuK\x01tQ"
        b"(U\x07storagectorch\nFloatStorage\nU\x01kU\x03cpuK\x02tQe.",
        "declares storage 'k' twice, differently",
    ),
    "a tensor of what is no storage": (
        b"ctorch._utils\n_rebuild_tensor\n(K\x01K\x00))tR.",
        r"calls torch._utils._rebuild_tensor in a way that no state dict does",
    ),
    "a tensor with more": (
        b"ctorch._utils\n_rebuild_tensor_v2\n(K\x01K\x00))NtR.",
        "calls torch._utils._rebuild_tensor_v2 in a way",
    ),
    "an ordered dictionary of two": (
        b"ccollections\nOrderedDict\n]]\x86R.",
        "calls collections.OrderedDict in a way",
    ),
    "a storage with more": (
        b"(U\x07storagectorch\nFloatStorage\nU\x01kU\x03cpuK\x01NNtQ.",
        "damaged",
    ),
    "a size below 0": (b"ctorch\nSize\nJ\xff\xff\xff\xff\x85R.", "calls torch.Size in a way"),
}


@pytest.mark.parametrize("what", PICKLES)
def test_pickles_that_make_no_sense(what):
    data, message = PICKLES[what]
    with pytest.raises(CheckpointError, match=message):
        pickle_check.check_pickle(io.BytesIO(b"\x80\x02" + data))


def test_a_pickle_of_deep_tuples_ends():
    with pytest.raises(CheckpointError, match="nested deeper"):
        pickle_check.check_pickle(io.BytesIO(b"\x80\x02)" + b"\x85" * 20_000 + b"."))
