"""Checkpoints: everything comes back."""

import shutil

import pytest
import torch
from tests.weights.saved_models import make_model, same

from lookwider.errors import CheckpointError
from lookwider.weights import load, save
from lookwider.weights.checkpoint import checkpoint_folder, verified_file
from lookwider.weights.description import describe


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
