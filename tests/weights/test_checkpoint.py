"""Checkpoints: everything comes back, and nothing damaged or hostile gets in."""

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

from lookwider.classes import Classes, ClassMap
from lookwider.errors import CheckpointError
from lookwider.models import create_model
from lookwider.preprocessing import Preprocessing
from lookwider.weights import load, save
from lookwider.weights.checkpoint import checkpoint_folder, verified_file
from lookwider.weights.description import describe, own_hash
from lookwider.weights.tensors import tensor_list

CLASSES = Classes(("sky", "Straße", "[red]"), ((1, 2, 3), (4, 5, 6), (7, 8, 9)))


def make_model(**options):
    torch.manual_seed(0)
    return create_model("fcn32s", backbone="test_resnet", **({"classes": CLASSES} | options))


@pytest.fixture(scope="module")
def model():
    model = make_model(extra_classes={"geometric": Classes.named(["flat", "upright"])})
    model.class_map = ClassMap({0x0000FF: 1, 7: 2}, frozenset({255, 3}), "rgb")
    model.backbone.preprocessing = Preprocessing((1.5, 2, 3), (0.1, 2, 3), 1.0, "bgr")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint") / "best"
    return save(model, folder, protocol={"lr": 1e-3}, scores={"iou": float("nan"), "n": (1, 2)})


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


def same(a, b):
    ours, theirs = a.state_dict(), b.state_dict()
    return (
        ours.keys() == theirs.keys()
        and all(torch.equal(ours[name], theirs[name]) for name in ours)
        and (a.classes, a.extra_classes, a.class_map) == (b.classes, b.extra_classes, b.class_map)
        and (a.architecture, a.preprocessing) == (b.architecture, b.preprocessing)
    )


def test_everything_comes_back(model, saved):
    loaded = load(saved)
    assert same(loaded, model)
    assert not loaded.training
    images = torch.rand(1, 3, 37, 41)
    assert torch.equal(loaded(images), model.eval()(images))
    description = describe(saved)
    assert description.protocol == {"lr": 1e-3}
    assert description.scores == {"iou": None, "n": [1, 2]}
    assert description.alignment.startswith("cells of 32 pixels")
    assert set(description.versions) == {"lookwider", "torch", "timm"}
    assert sorted(path.name for path in saved.iterdir()) == ["lookwider.json", "model.safetensors"]


def test_loading_draws_nothing_from_the_global_random_state(saved):
    torch.manual_seed(3)
    state = torch.get_rng_state()
    load(saved)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("upsampling", ["paper", "fixed", "learned", "interpolation"])
def test_every_upsampling_is_rebuilt_and_described(tmp_path, upsampling):
    model = make_model(upsampling=upsampling)
    assert same(load(save(model, tmp_path / "a")), model)
    words = {
        "learned": "learned bilinear deconvolution",
        "interpolation": "bilinear by cell centres",
    }
    assert (
        words.get(upsampling, "fixed bilinear deconvolution") in describe(tmp_path / "a").alignment
    )


def test_half_precision_weights_are_widened_exactly(tmp_path):
    model = make_model().to(torch.bfloat16)
    loaded = load(save(model, tmp_path / "a"))
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name].to(tensor.dtype))


def test_other_weights_are_saved_in_the_models_place(tmp_path):
    model = make_model()
    average = {name: torch.zeros_like(t) for name, t in model.state_dict().items()}
    loaded = load(save(model, tmp_path / "a", state=average))
    assert all(not tensor.any() for tensor in loaded.state_dict().values())
    average.popitem()
    with pytest.raises(CheckpointError, match=r"the state given: .* missing: "):
        save(model, tmp_path / "b", state=average)
    with pytest.raises(CheckpointError, match=r"is torch.float64, expected one of"):
        save(model.double(), tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_tensors_that_share_memory_are_saved_apart(tmp_path):
    model = make_model()
    state = model.state_dict()
    first, second = [name for name, t in state.items() if t.shape == (32,)][:2]
    state[first] = state[second] = torch.arange(32.0)
    loaded = load(save(model, tmp_path / "a", state=state)).state_dict()
    assert torch.equal(loaded[first], torch.arange(32.0))
    assert torch.equal(loaded[second], torch.arange(32.0))


def test_training_files_appear_together_with_the_weights(tmp_path):
    def extra(folder):
        (folder / "training.json").write_text("{}")

    folder = save(make_model(), tmp_path / "last", extra=extra)
    path = verified_file(folder, "training.json", describe(folder))
    assert path.read_text() == "{}"
    path.write_text("{ }")
    with pytest.raises(CheckpointError, match=r"training.json: damaged or truncated"):
        verified_file(folder, "training.json", describe(folder))
    with pytest.raises(CheckpointError, match=r"holds no training.safetensors"):
        verified_file(folder, "training.safetensors", describe(folder))
    with pytest.raises(CheckpointError, match=r"has no place for optimiser.pt"):
        save(make_model(), folder, extra=lambda f: (f / "optimiser.pt").touch())
    assert path.exists()


def test_what_is_no_checkpoint_is_not_overwritten(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(CheckpointError, match=r"holds thesis.tex, which saving .* would delete"):
        save(make_model(), tmp_path)
    with pytest.raises(CheckpointError, match="is a file, expected a folder"):
        save(make_model(), tmp_path / "thesis.tex")
    assert (tmp_path / "thesis.tex").exists()


def test_only_json_goes_into_protocol_and_scores(tmp_path):
    with pytest.raises(CheckpointError, match=r"got PosixPath at 'protocol.data\[0\]'"):
        save(make_model(), tmp_path / "a", protocol={"data": [tmp_path]})


def test_a_run_means_its_best_checkpoint_or_else_its_last(saved, tmp_path):
    run = tmp_path / "run"
    for name in ("previous", "last", "best"):
        shutil.copytree(saved, run / name)
        assert checkpoint_folder(run) == run / name
    (run / "best").rename(run / ".best.old")
    assert checkpoint_folder(run) == run / ".best.old"
    assert load(run).num_classes == 3
    with pytest.raises(CheckpointError, match=r"neither itself nor in best/ or last/"):
        load(tmp_path)
    with pytest.raises(CheckpointError, match="nowhere: no such folder"):
        load(tmp_path / "nowhere")


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
