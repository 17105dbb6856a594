"""PyTorch's zip archives: written by others, damaged and hostile."""

import struct
import zipfile

import numpy as np
import pytest
import torch
from tests.weights.formats.pth_files import assert_same, refuses, saved

from lookwider.weights.formats import pth, read_pth


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
