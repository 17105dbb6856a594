import json
import shutil
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from tests.training import tiny

from lookwider.classes import Classes, ClassMap
from lookwider.data.sample import Sample
from lookwider.errors import ConfigError, DataError
from lookwider.models import create_model
from lookwider.preprocessing import CAFFE_VOC
from lookwider.training import run
from lookwider.training.config import TrainConfig
from lookwider.training.logs import COLUMNS, read_metrics
from lookwider.training.run_folder import prepare_folder, read_config
from lookwider.training.task import NonFiniteError, SegmentationTask
from lookwider.weights.checkpoint import load, save
from lookwider.weights.description import describe


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_data(tmp_path_factory.mktemp("data") / "tiny")


def small(data: Path, out: Path, **settings: Any) -> TrainConfig:
    """Return a config of six plain steps."""
    plain: dict[str, Any] = {
        "steps": 6,
        "accumulate": 1,
        "val_every": 3,
        "ema": None,
        "class_weights": None,
        "loss_sampling": "whole",
        "log_every": 2,
    }
    return tiny.tiny_config(data, out, **(plain | settings))


def train(config: TrainConfig) -> run.TrainResult:
    return run.train(config, Console(quiet=True))


def said(config: TrainConfig, capsys: pytest.CaptureFixture[str]) -> str:
    run.train(config, Console(stderr=True, width=300))
    return capsys.readouterr().err


def test_a_run_leaves_what_it_should(data: Path, tmp_path: Path) -> None:
    config = small(data, tmp_path / "run", class_weights="median_frequency")
    result = train(config)
    assert result.steps == 6
    assert result.best_step in (3, 6)
    assert result.memory["memory"] > 0.05
    names = {path.name for path in config.out.iterdir()}
    assert names == {
        "best", "last", "previous", "config.json", "metrics.csv", "tensorboard",
        "class_weights.json",
    }  # fmt: skip
    assert read_config(config.out) == config
    model = load(config.out)
    assert model.num_classes == 11
    assert model.class_map is not None
    assert model.class_map.ignore == {11, 255}
    best = describe(config.out / "best")
    assert best.scores["val_mean_iou"] == result.best_mean_iou
    assert best.protocol["config"]["base_lr"] == config.base_lr
    rows = read_metrics(config.out / "metrics.csv")
    assert tuple(rows[0]) == COLUMNS
    assert [row["step"] for row in rows] == ["2", "3", "4", "6", "6"]
    assert all(0 <= float(row["data_wait"]) <= 1 for row in rows if row["data_wait"])
    assert any(path.name.startswith("events") for path in (config.out / "tensorboard").iterdir())
    stored = json.loads((config.out / "class_weights.json").read_text())
    assert len(stored["median_frequency_weights"]) == 11


class PlainImages:
    """Three images of one colour and class each, with a second label map."""

    names = ("a", "b", "c")
    classes = Classes.numbered(3)
    class_map = ClassMap.identity(3)
    extra_classes: ClassVar = {"geometric": Classes.numbered(3)}
    in_channels = 3

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Sample:
        label = np.full((40, 40), index, np.uint8)
        image = np.full((40, 40, 3), 100 * index, np.uint8)
        return Sample(image, label, self.names[index], {"geometric": label})


def test_training_learns_with_both_heads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "open_dataset", lambda *_, **__: PlainImages())
    config = small(
        Path("plain"), tmp_path / "run", steps=16, val_every=16, base_lr=0.02, warmup_steps=0,
        colour=0, scale=None, batch_size=3, log_every=1, momentum=0.5,
    )  # fmt: skip
    train(config)
    losses = [float(r["loss"]) for r in read_metrics(config.out / "metrics.csv") if r["loss"]]
    assert losses[0] == pytest.approx(2 * np.log(3), rel=1e-4)
    assert losses[-1] < 0.5 * losses[0]
    model = load(config.out)
    assert set(model.scores(torch.zeros(1, 3, 40, 40))) == {"main", "geometric"}


def test_lr_and_loss_are_logged_as_they_are(data: Path, tmp_path: Path) -> None:
    one = small(data, tmp_path / "one", log_every=1, warmup_steps=0, batch_size=2, flip=0, colour=0)
    train(one)
    rows = read_metrics(one.out / "metrics.csv")
    rates = [float(row["lr"]) for row in rows if row["lr"]]
    expected = [one.base_lr * (1 - step / 6) ** 0.9 for step in range(6)]
    assert rates == pytest.approx(expected, rel=1e-4)
    two = small(data, tmp_path / "two", log_every=1, accumulate=2, steps=3)
    train(two)
    # the scores start at zero, so the first loss is that of chance, accumulated or not
    for config in (one, two):
        first = read_metrics(config.out / "metrics.csv")[0]
        assert float(first["loss"]) == pytest.approx(np.log(11), rel=1e-4)


def test_accumulating_equals_a_larger_batch(data: Path, tmp_path: Path) -> None:
    """Without batch statistics in training, 2 x 2 images give the gradient of 4."""

    def frozen_norms(*args: Any, **options: Any) -> Any:
        torch.manual_seed(0)
        model = create_model(*args, **options).eval()
        model.train = lambda mode=True: model
        return model

    states = []
    for name, batch, accumulate in (("a", 4, 1), ("b", 2, 2)):
        config = small(
            data, tmp_path / name, batch_size=batch, accumulate=accumulate, steps=3, scale=None,
            colour=0, flip=0, crop_size="36,44", val_split="none", zero_scores=False,
            reduction="batch", base_lr=1e-6,
        )  # fmt: skip
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(run, "create_model", frozen_norms)
            train(config)
        states.append(load_file(config.out / "last" / "model.safetensors"))
    for name, tensor in states[0].items():
        torch.testing.assert_close(states[1][name], tensor, rtol=1e-4, atol=1e-5)


def test_epochs(data: Path, tmp_path: Path) -> None:
    config = small(data, tmp_path / "run", epochs=2, steps=None, val_split="none")
    assert train(config).steps == 7
    assert train(config).best_mean_iou is None


def test_more_steps_continue_a_finished_run(data: Path, tmp_path: Path) -> None:
    config = small(data, tmp_path / "run")
    train(config)
    longer = config.model_copy(update={"steps": 9, "base_lr": 0.01})
    with pytest.raises(
        ConfigError,
        match=r"other settings \(steps: 6 -> 9, base_lr: 0.02 -> 0.01\); .* or resume=true",
    ):
        train(longer)
    result = train(longer.model_copy(update={"resume": True}))
    assert result.steps == 9
    rows = read_metrics(config.out / "metrics.csv")
    assert [row["step"] for row in rows] == ["2", "3", "4", "6", "6", "8", "9"]
    assert float(rows[5]["lr"]) == pytest.approx(0.01 * (1 - 7 / 9) ** 0.9 * 8 / 101, rel=1e-4)
    assert read_config(config.out).steps == 9


def test_folders_that_are_not_a_run(data: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.txt").write_text("precious")
    with pytest.raises(ConfigError, match=r"holds no config\.json but is not empty; choose"):
        train(small(data, tmp_path / "photos"))
    config = small(data, tmp_path / "run", steps=2, val_split="none")
    train(config)
    with pytest.raises(ConfigError, match="holds a run already and resume=false"):
        train(config.model_copy(update={"resume": False}))
    (config.out / "config.json").write_text("[1]")
    with pytest.raises(ConfigError, match="got a list, expected an object"):
        train(config)
    (config.out / "config.json").write_text("{")
    with pytest.raises(ConfigError, match="cannot be read"):
        train(config)


def test_a_run_that_saved_nothing_begins_again(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = small(data, tmp_path / "run", steps=2, val_split="none")
    prepare_folder(config, Console(quiet=True))
    assert "nothing was saved yet, beginning at step 0" in said(config, capsys)


def test_non_finite_loss_stops_with_names_and_keeps_the_last_state(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small(data, tmp_path / "run", val_split="none", save_every=2)
    original = SegmentationTask.loss

    def poisoned(self: SegmentationTask, batch: Any, batch_idx: int) -> torch.Tensor:
        return original(self, batch, batch_idx) * (float("nan") if batch_idx == 4 else 1.0)

    with monkeypatch.context() as patch:
        patch.setattr(SegmentationTask, "loss", poisoned)
        with pytest.raises(
            NonFiniteError,
            match=r"the loss is not finite at step 4, on the images \w+, \w+; .*lower base_lr",
        ):
            train(config)
    kept = load_file(config.out / "last" / "model.safetensors")
    assert all(bool(t.isfinite().all()) for t in kept.values() if t.is_floating_point())
    assert train(config).steps == 6


def test_non_finite_gradient(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = SegmentationTask.loss

    def steep(self: SegmentationTask, batch: Any, batch_idx: int) -> torch.Tensor:
        loss = original(self, batch, batch_idx)
        return loss + (loss - loss.detach()) * float("inf") if batch_idx == 1 else loss

    monkeypatch.setattr(SegmentationTask, "loss", steep)
    config = small(data, tmp_path / "run", val_split="none")
    with pytest.raises(NonFiniteError, match=r"not finite at step 1"):
        train(config)


def test_starting_from_a_coarser_run(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    coarse = run.TrainConfig.model_validate(
        small(data, tmp_path / "32s", steps=2, val_split="none").model_dump() | {"model": "fcn32s"}
    )
    train(coarse)
    config = small(data, tmp_path / "16s", steps=1, val_split="none", init_from=coarse.out)
    message = said(config, capsys)
    assert f"began from {coarse.out}; as initialised: heads.main." in message


def test_weights_from_elsewhere_keep_what_they_expect_of_an_image(
    data: Path, tmp_path: Path
) -> None:
    """Of another number of classes and other preprocessing; a continued run too."""
    source = create_model("fcn16s", backbone="test_efficientnet", num_classes=1)
    source.backbone.preprocessing = CAFFE_VOC
    save(source, tmp_path / "trunk")
    config = small(data, tmp_path / "run", steps=2, val_split="none", init_from=tmp_path / "trunk")
    train(config)
    assert describe(config.out / "last").preprocessing == CAFFE_VOC
    train(config.model_copy(update={"steps": 3, "resume": True}))
    assert describe(config.out / "last").preprocessing == CAFFE_VOC


def test_a_frozen_trunk_stays_as_it_began(data: Path, tmp_path: Path) -> None:
    """Weights and batch statistics of the trunk stay, over validations and a continuation."""
    config = small(data, tmp_path / "run", freeze_trunk=True, batch_size=1, crop_size="33,33")
    train(config)
    began = load_file(config.out / "best" / "model.safetensors")
    train(config.model_copy(update={"steps": 9, "resume": True}))
    ended = load_file(config.out / "last" / "model.safetensors")
    changed = {name for name in ended if not torch.equal(began[name], ended[name])}
    assert changed
    assert not [name for name in changed if name.startswith("backbone.")]
    means = [t for name, t in ended.items() if name.endswith("running_mean")]
    assert means
    assert all(bool((t == 0).all()) for t in means)


def test_damaged_image_is_named_without_a_workers_traceback(data: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(data, broken)
    for path in sorted((broken / "train").iterdir())[1:]:
        path.write_bytes(b"not an image")
    config = small(broken, tmp_path / "run", workers=1, val_split="none")
    with pytest.raises(DataError) as caught:
        train(config)
    assert "not an image that can be read" in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_averaged_weights_are_what_is_kept(data: Path, tmp_path: Path) -> None:
    config = small(data, tmp_path / "run", ema=0.5, val_split="none", base_lr=0.1)
    train(config)
    used = load_file(config.out / "last" / "model.safetensors")
    trained = load_file(config.out / "last" / "training.safetensors")
    name = next(n for n in used if n.endswith("weight"))
    current = trained[f"state.current_model_state.model.{name}"]
    assert not torch.equal(used[name], current)


def test_bfloat16_and_plain_memory_format(data: Path, tmp_path: Path) -> None:
    config = small(
        data, tmp_path / "run", precision="bf16-mixed", channels_last=False, optimizer="adamw",
        base_lr=1e-3, loss_sampling="balanced", steps=3,
    )  # fmt: skip
    assert train(config).steps == 3
    tensors = load_file(config.out / "last" / "model.safetensors").values()
    assert all(t.dtype != torch.bfloat16 for t in tensors)


def test_progress_without_a_terminal(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lookwider.training.progress.LINE_SECONDS", 0.0)
    message = said(small(data, tmp_path / "run"), capsys)
    assert "step 4/6  loss" in message
    assert "val mean IoU" in message
    assert "left" in message
    assert "never predicted:" in message


def test_progress_on_a_terminal(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    console = Console(stderr=True, width=120, force_terminal=True)
    run.train(small(data, tmp_path / "run", steps=3), console)
    message = capsys.readouterr().err
    assert "training" in message
    assert "3/3" in message


def test_global_random_state_is_left(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    train(small(data, tmp_path / "run", steps=1, val_split="none"))
    assert torch.equal(torch.random.get_rng_state(), before)
