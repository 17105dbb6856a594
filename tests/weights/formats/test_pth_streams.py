"""PyTorch's files of before 1.6, and pickles that make no sense."""

import io
import pickle
import struct

import pytest
import torch
from tests.weights.formats.pth_files import assert_same, refuses

from lookwider.errors import CheckpointError
from lookwider.weights.formats import pickle_check, read_pth
from lookwider.weights.formats.kinds import LEGACY_PTH


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
