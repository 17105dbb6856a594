"""Checkpoints that ask for the machine: refused before memory is taken, with a clear message."""

import json
import os
import shutil
import struct
from pathlib import Path

import pytest
import torch
from tests.weights.test_damaged_checkpoint import rewrite

from lookwider.diagnosis.relations import ClassRelations
from lookwider.errors import CheckpointError, ConfigError, DataError
from lookwider.models import create_model
from lookwider.training.run_folder import read_config
from lookwider.weights import architecture, load
from lookwider.weights.safe_files import plain_file
from lookwider.weights.tensors import tensor_entries, tensor_list

PSPNET = {"name": "pspnet", "output_stride": 32}
"""On a trunk that cannot be dilated."""


@pytest.fixture
def copy(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "copy")


@pytest.fixture
def built(monkeypatch):
    """Return the devices that models are built on from now."""
    devices = []

    def watched(**keywords):
        devices.append(torch.empty(0).device.type)
        return create_model(**keywords)

    monkeypatch.setattr(architecture, "create_model", watched)
    return devices


def write_header(path, header, data=b""):
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "pspnet", "bins": [1] * 5000}, "got 500. values in its architecture, expected"),
        ({"name": "pspnet", "bins": [10**9]}, "got 1000000000 in its architecture"),
        (PSPNET | {"bins": [60_000]}, "got bins of 3600000000 regions, expected at"),
        (PSPNET | {"bins": [1] * 900}, "got 900 bins for 96 channels, expected no more"),
        ({"name": "pspnet", "bins": [[[[1]]]]}, "its architecture cannot be built"),
        ({"name": "pspnet", "bins": "1;2"}, "its architecture cannot be built"),
        ({"name": "pspnet", "bins": {"a": 1}}, "its architecture cannot be built"),
        ({"name": ["fcn32s"]}, "its architecture cannot be built"),
        ({"in_channels": -3}, "cannot be built|do not fit the model"),
        ({"in_channels": 2.5}, "its architecture cannot be built"),
        ({"num_classes": True}, "got 3 class names for num_classes=True"),
        ({"num_classes": None}, "got 3 class names for num_classes=None"),
        *(
            ({"backbone": name}, "unknown backbone")
            for name in (
                "local-dir:/etc",
                "../../etc/passwd",
                "/tmp/evil.py",
                "hf_hub:evil/model",
                "file:///etc/passwd",
                "timm/resnet18/../x",
                "os:system",
                "",
            )
        ),
        ({"backbone": 7}, "its architecture cannot be built"),
        ({"backbone": None, "in_channels": 60_000}, "tensors do not fit the model"),
    ],
)
def test_an_architecture_that_no_one_made(copy, built, change, message):
    rewrite(copy, lambda content: content["architecture"].update(change))
    with pytest.raises(CheckpointError, match=message):
        load(copy)
    assert set(built) <= {"meta"}


def test_very_many_heads(copy, built):
    def change(content):
        content["extra_classes"] = {f"h{i}": content["classes"] for i in range(1000)}

    rewrite(copy, change)
    with pytest.raises(CheckpointError, match="got 1000 further heads, expected at most 64"):
        load(copy)
    assert built == []


@pytest.mark.parametrize("value", ["1e999", "-1e999", "1e70000"])
def test_a_number_that_is_not_finite(copy, value):
    rewrite(copy, lambda content: content["architecture"].update(in_channels=4242))
    path = copy / "lookwider.json"
    path.write_text(path.read_text().replace("4242", value))
    with pytest.raises(CheckpointError, match=r"does not match its own hash|at most 65536"):
        load(copy)


@pytest.mark.parametrize("bomb", ["[" * 200_000, '{"a":' * 200_000, "[" * 40 + "]" * 40])
def test_nesting_without_end(copy, bomb):
    (copy / "lookwider.json").write_text(bomb)
    with pytest.raises(CheckpointError, match="nested deeper than 32 levels"):
        load(copy)
    (copy / "model.safetensors").write_bytes(struct.pack("<Q", len(bomb)) + bomb.encode())
    with pytest.raises(CheckpointError, match="nested deeper than 32 levels"):
        tensor_list(copy / "model.safetensors")


def test_nesting_without_end_in_the_files_of_a_run(tmp_path):
    (tmp_path / "config.json").write_text("[" * 200_000)
    with pytest.raises(ConfigError, match=r"config\.json: cannot be read: maximum recursion"):
        read_config(tmp_path)
    with pytest.raises(DataError, match=r"config\.json: cannot be read: maximum recursion"):
        ClassRelations.load(tmp_path / "config.json")


def test_tensors_that_the_file_does_not_hold(copy, built):
    """All shapes agree, and building the model would take 750 MB; the file has some bytes."""
    with torch.device("meta"):
        large = create_model("fcn32s", backbone="test_resnet", in_channels=60_000, num_classes=3)
    entries = {name: e.model_dump(mode="json") for name, e in tensor_entries(large).items()}
    offsets = {name: entry | {"data_offsets": [0, 0]} for name, entry in entries.items()}
    write_header(copy / "model.safetensors", offsets, bytes(100))

    def change(content):
        content["architecture"] = json.loads(json.dumps(large.architecture))
        content["extra_classes"] = {}
        content["tensors"] = entries

    rewrite(copy, change, weights=True)
    with pytest.raises(CheckpointError, match=r"lists tensors of \d{8,} bytes and holds 100;"):
        load(copy)
    assert built == []


def test_tensors_that_lie_on_each_other(copy):
    path = copy / "model.safetensors"
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    pairs = {}
    for name in sorted(header.keys() - {"__metadata__"}):
        shape = (header[name]["dtype"], tuple(header[name]["shape"]))
        pairs.setdefault(shape, []).append(name)
    first, second = next(names for names in pairs.values() if len(names) > 1)[:2]
    header[second]["data_offsets"] = header[first]["data_offsets"]
    write_header(path, header, content[8 + length :])
    rewrite(copy, lambda c: None, weights=True)
    with pytest.raises(CheckpointError, match="damaged"):
        load(copy)


def test_a_type_that_no_checkpoint_holds(tmp_path):
    path = tmp_path / "model.safetensors"
    write_header(path, {"a": {"dtype": "F4", "shape": [1], "data_offsets": [0, 8]}}, bytes(8))
    with pytest.raises(CheckpointError, match="a is of type 'F4', expected one of BF16, BOOL"):
        tensor_list(path)


def test_a_shape_of_very_many_dimensions(copy):
    """Whose product would take hours."""
    shape = [9_999_999] * 200_000
    path = copy / "model.safetensors"
    write_header(path, {"a": {"dtype": "F32", "shape": shape, "data_offsets": [0, 8]}}, bytes(8))
    with pytest.raises(CheckpointError, match="malformed list of tensors"):
        tensor_list(path)
    rewrite(copy, lambda content: next(iter(content["tensors"].values())).update(shape=shape[:9]))
    with pytest.raises(CheckpointError, match=r"tensors\..*shape: .* at most 8 items"):
        load(copy)


def in_cache(saved, folder):
    """Lay a checkpoint out as the cache of huggingface_hub does: links to files beside."""
    snapshot, blobs = folder / "snapshots" / "0a1b", folder / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for number, path in enumerate(sorted(saved.iterdir())):
        shutil.copy(path, blobs / str(number))
        (snapshot / path.name).symlink_to(f"../../blobs/{number}")
    return snapshot


def test_links_of_the_cache_of_the_hub_are_followed(saved, tmp_path):
    load(in_cache(saved, tmp_path / "models--a--b"))


def test_a_link_beside_the_root_is_not(tmp_path, monkeypatch):
    (tmp_path / "lookwider.json").symlink_to("/etc/passwd")
    for folder in (tmp_path, Path(os.path.relpath(tmp_path))):
        with pytest.raises(CheckpointError, match="expected a regular file, not a link"):
            plain_file(folder, "lookwider.json")
    monkeypatch.setattr(Path, "absolute", lambda path: Path("/lookwider.json"))
    with pytest.raises(CheckpointError, match="expected a regular file, not a link"):
        plain_file(tmp_path, "lookwider.json")


def test_links_that_lead_out_of_that_cache_are_not(saved, tmp_path):
    snapshot = in_cache(saved, tmp_path / "models--a--b")
    link = snapshot / "model.safetensors"
    target = link.resolve()
    for elsewhere in (saved / "model.safetensors", target.parent, tmp_path / "missing"):
        link.unlink()
        link.symlink_to(elsewhere)
        with pytest.raises(CheckpointError, match="expected a regular file, not a link"):
            load(snapshot)
    link.unlink()
    link.symlink_to(target)
    target.parent.rename(tmp_path / "moved")
    target.parent.symlink_to(tmp_path / "moved")
    with pytest.raises(CheckpointError, match="expected a regular file, not a link"):
        load(snapshot)
