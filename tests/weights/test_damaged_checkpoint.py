"""Checkpoints: nothing damaged or hostile gets in."""

import contextlib
import hashlib
import json
import shutil
import struct

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tests.weights.saved_models import same

from lookwider.errors import CheckpointError
from lookwider.weights import load
from lookwider.weights.description import own_hash
from lookwider.weights.tensors import tensor_list


@pytest.fixture
def copy(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "copy")


def rewrite(folder, change, *, weights=None):
    """Change ``lookwider.json`` and sign it again, as someone hostile would."""
    path = folder / "lookwider.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    content["sha256"] = {"model.safetensors": digest} | content.get("sha256", {})
    if weights is not None:
        content["sha256"]["model.safetensors"] = digest
    content["sha256"]["lookwider.json"] = own_hash(content)
    path.write_text(json.dumps(content), encoding="utf-8")


@settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damage_never_gets_in(model, saved, tmp_path_factory, data):
    folder = shutil.copytree(saved, tmp_path_factory.mktemp("damaged") / "x")
    name = data.draw(st.sampled_from(["lookwider.json", "model.safetensors"]))
    content = bytearray((folder / name).read_bytes())
    # Most of the tensors' file is numbers; its header is where damage is most dangerous.
    reach = data.draw(st.sampled_from([16, 3000, len(content)]))
    places = st.integers(0, min(reach, len(content)) - 1)
    if data.draw(st.booleans()):
        del content[data.draw(places) :]
    else:
        for place in data.draw(st.lists(places, min_size=1, max_size=4)):
            content[place] = data.draw(st.integers(0, 255))
    (folder / name).write_bytes(content)
    with contextlib.suppress(CheckpointError):
        assert same(load(folder), model)


def change_classes(content):
    content["classes"]["names"] = [f"c{i}" for i in range(254)]
    content["classes"]["palette"] = [[0, 0, 0]] * 254


HOSTILE = {
    "format": (lambda c: c.update(format=2), "got format 2, expected 1; it was made by a newer"),
    "unknown key": (lambda c: c.update(run="rm"), "run: Extra inputs are not permitted"),
    "missing key": (lambda c: c.pop("classes"), "classes: Field required"),
    "path": (
        lambda c: c["sha256"].update({"../../x": "0"}),
        r"got hashes of \.\./\.\./x, .*expected model.safetensors",
    ),
    "number for text": (lambda c: c.update(alignment=3), "alignment: Input should be a valid str"),
    "architecture": (
        lambda c: c["architecture"].update(evil=1),
        r"its architecture cannot be built: ConfigError: unknown option of fcn32s 'evil'",
    ),
    "model": (lambda c: c["architecture"].update(name="os.system"), "unknown model 'os.system'"),
    "backbone": (
        lambda c: c["architecture"].update(backbone="hf-hub:evil/model"),
        "unknown backbone 'hf-hub:evil/model'",
    ),
    "download": (
        lambda c: c["architecture"].update(pretrained=True),
        "its architecture asks for weights from elsewhere",
    ),
    "count": (
        lambda c: c["architecture"].update(num_classes=10**9),
        "got 3 class names for num_classes=1000000000",
    ),
    "bands": (
        lambda c: c["architecture"].update(in_channels=10**9),
        "got 1000000000 in its architecture, expected at most 65536",
    ),
    "many bands": (lambda c: c["architecture"].update(in_channels=60_000), "cannot be built|fit"),
    "palette": (lambda c: c["classes"]["palette"].pop(), "got 2 colours for 3 classes"),
    "encoding": (lambda c: c["class_map"].update(encoding="exec"), "class_map.encoding"),
    "statistics": (lambda c: c["preprocessing"].update(scale=0), "must be positive"),
    "shape": (
        lambda c: c["tensors"]["heads.main.score_fr.bias"].update(shape=[10**12]),
        r"heads.main.score_fr.bias: got F32 \[3\], expected F32 \[1000000000000\]",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_description_is_refused(copy, case):
    change, message = HOSTILE[case]
    rewrite(copy, change)
    with pytest.raises(CheckpointError, match=message):
        load(copy)


def test_more_classes_than_the_file_holds_are_refused_before_memory_is_taken(copy):
    rewrite(copy, lambda c: (change_classes(c), c["architecture"].update(num_classes=254)))
    with pytest.raises(CheckpointError, match=r"got F32 \[3.*, expected F32 \[254"):
        load(copy)


def test_an_edited_description_is_noticed(copy):
    path = copy / "lookwider.json"
    path.write_text(path.read_text(encoding="utf-8").replace("sky", "sea"), encoding="utf-8")
    with pytest.raises(CheckpointError, match="does not match its own hash"):
        load(copy)


def test_missing_left_over_and_misshapen_tensors_are_all_listed(copy):
    path = copy / "model.safetensors"
    tensors = load_file(path)
    first = tensors.pop("heads.main.score_fr.bias")
    tensors["stranger"] = first
    tensors["heads.geometric.score_fr.bias"] = torch.zeros(5)
    save_file(tensors, path)
    entries = {n: e.model_dump(mode="json") for n, e in tensor_list(path).items()}
    rewrite(copy, lambda c: c.update(tensors=entries), weights=True)
    with pytest.raises(CheckpointError) as caught:
        load(copy)
    assert "missing: heads.main.score_fr.bias" in str(caught.value)
    assert "left over: stranger" in str(caught.value)
    assert "heads.geometric.score_fr.bias: got F32 [5], expected F32 [2]" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "header of 0 bytes in a file of 0"),
        (struct.pack("<Q", 2**63) + b"{}", "header of 9223372036854775808 bytes in a file of 10"),
        (struct.pack("<Q", 2) + b"[]", "got a list, expected a JSON object"),
        (struct.pack("<Q", 8) + b'{"a": 1}', "malformed list of tensors"),
        (struct.pack("<Q", 17) + b'{"a":{"shape":3}}', "malformed list of tensors"),
        (struct.pack("<Q", 33) + b'{"a":{"dtype":"F32","shape":[-1]}}'[:33], "not valid JSON"),
        (
            struct.pack("<Q", 34) + b'{"a":{"dtype":"F32","shape":[-1]}}',
            "malformed list of tensors",
        ),
    ],
)
def test_a_hostile_list_of_tensors_is_refused(tmp_path, content, message):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        tensor_list(path)


def test_offsets_outside_the_file_are_refused(copy):
    path = copy / "model.safetensors"
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    name = next(name for name in header if name != "__metadata__")
    header[name]["data_offsets"] = [2**40, 2**40 + 12]
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])
    rewrite(copy, lambda c: None, weights=True)
    with pytest.raises(CheckpointError, match="damaged"):
        load(copy)


def test_links_in_place_of_files_are_refused(copy, tmp_path):
    (copy / "model.safetensors").rename(tmp_path / "elsewhere")
    (copy / "model.safetensors").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CheckpointError, match="expected a regular file, not a link"):
        load(copy)


def test_a_pickle_is_never_opened(copy):
    torch.save({"a": torch.zeros(1)}, copy / "model.safetensors")
    rewrite(copy, lambda c: None, weights=True)
    with pytest.raises(CheckpointError, match="damaged or truncated"):
        load(copy)
