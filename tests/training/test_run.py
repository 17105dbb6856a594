import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.training import tiny

from lookwider.classes import Classes, ClassMap
from lookwider.data.sample import Sample
from lookwider.errors import ConfigError
from lookwider.models import create_model
from lookwider.preprocessing import CAFFE_VOC
from lookwider.training import run
from lookwider.training.logs import COLUMNS, read_metrics
from lookwider.training.run_folder import read_config
from lookwider.weights.checkpoint import load, save
from lookwider.weights.description import describe


def test_a_run_leaves_what_it_should(data: Path, tmp_path: Path) -> None:
    config = tiny.plain_config(data, tmp_path / "run", class_weights="median_frequency")
    result = tiny.train(config)
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
    config = tiny.plain_config(
        Path("plain"), tmp_path / "run", steps=16, val_every=16, base_lr=0.02, warmup_steps=0,
        colour=0, scale=None, batch_size=3, log_every=1, momentum=0.5,
    )  # fmt: skip
    tiny.train(config)
    losses = [float(r["loss"]) for r in read_metrics(config.out / "metrics.csv") if r["loss"]]
    assert losses[0] == pytest.approx(2 * np.log(3), rel=1e-4)
    assert losses[-1] < 0.5 * losses[0]
    model = load(config.out)
    assert set(model.scores(torch.zeros(1, 3, 40, 40))) == {"main", "geometric"}


def test_lr_and_loss_are_logged_as_they_are(data: Path, tmp_path: Path) -> None:
    one = tiny.plain_config(
        data, tmp_path / "one", log_every=1, warmup_steps=0, batch_size=2, flip=0, colour=0
    )
    tiny.train(one)
    rows = read_metrics(one.out / "metrics.csv")
    rates = [float(row["lr"]) for row in rows if row["lr"]]
    expected = [one.base_lr * (1 - step / 6) ** 0.9 for step in range(6)]
    assert rates == pytest.approx(expected, rel=1e-4)
    two = tiny.plain_config(data, tmp_path / "two", log_every=1, accumulate=2, steps=3)
    tiny.train(two)
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
        config = tiny.plain_config(
            data, tmp_path / name, batch_size=batch, accumulate=accumulate, steps=3, scale=None,
            colour=0, flip=0, crop_size="36,44", val_split="none", zero_scores=False,
            reduction="batch", base_lr=1e-6,
        )  # fmt: skip
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(run, "create_model", frozen_norms)
            tiny.train(config)
        states.append(load_file(config.out / "last" / "model.safetensors"))
    for name, tensor in states[0].items():
        torch.testing.assert_close(states[1][name], tensor, rtol=1e-4, atol=1e-5)


def test_epochs(data: Path, tmp_path: Path) -> None:
    config = tiny.plain_config(data, tmp_path / "run", epochs=2, steps=None, val_split="none")
    assert tiny.train(config).steps == 7
    assert tiny.train(config).best_mean_iou is None


def test_more_steps_continue_a_finished_run(data: Path, tmp_path: Path) -> None:
    config = tiny.plain_config(data, tmp_path / "run")
    tiny.train(config)
    longer = config.model_copy(update={"steps": 9, "base_lr": 0.01})
    with pytest.raises(
        ConfigError,
        match=r"other settings \(steps: 6 -> 9, base_lr: 0.02 -> 0.01\); .* or resume=true",
    ):
        tiny.train(longer)
    result = tiny.train(longer.model_copy(update={"resume": True}))
    assert result.steps == 9
    rows = read_metrics(config.out / "metrics.csv")
    assert [row["step"] for row in rows] == ["2", "3", "4", "6", "6", "8", "9"]
    assert float(rows[5]["lr"]) == pytest.approx(0.01 * (1 - 7 / 9) ** 0.9 * 8 / 101, rel=1e-4)
    assert read_config(config.out).steps == 9


def test_starting_from_a_coarser_run(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    coarse = run.TrainConfig.model_validate(
        tiny.plain_config(data, tmp_path / "32s", steps=2, val_split="none").model_dump()
        | {"model": "fcn32s"}
    )
    tiny.train(coarse)
    config = tiny.plain_config(
        data, tmp_path / "16s", steps=1, val_split="none", init_from=coarse.out
    )
    message = tiny.said(config, capsys)
    assert f"began from {coarse.out}; as initialised: heads.main." in message


def test_weights_from_elsewhere_keep_what_they_expect_of_an_image(
    data: Path, tmp_path: Path
) -> None:
    """Of another number of classes and other preprocessing; a continued run too."""
    source = create_model("fcn16s", backbone="test_efficientnet", num_classes=1)
    source.backbone.preprocessing = CAFFE_VOC
    save(source, tmp_path / "trunk")
    config = tiny.plain_config(
        data, tmp_path / "run", steps=2, val_split="none", init_from=tmp_path / "trunk"
    )
    tiny.train(config)
    assert describe(config.out / "last").preprocessing == CAFFE_VOC
    tiny.train(config.model_copy(update={"steps": 3, "resume": True}))
    assert describe(config.out / "last").preprocessing == CAFFE_VOC


def test_a_frozen_trunk_stays_as_it_began(data: Path, tmp_path: Path) -> None:
    """Weights and batch statistics of the trunk stay, over validations and a continuation."""
    config = tiny.plain_config(
        data, tmp_path / "run", freeze_trunk=True, batch_size=1, crop_size="33,33"
    )
    tiny.train(config)
    began = load_file(config.out / "best" / "model.safetensors")
    tiny.train(config.model_copy(update={"steps": 9, "resume": True}))
    ended = load_file(config.out / "last" / "model.safetensors")
    changed = {name for name in ended if not torch.equal(began[name], ended[name])}
    assert changed
    assert not [name for name in changed if name.startswith("backbone.")]
    means = [t for name, t in ended.items() if name.endswith("running_mean")]
    assert means
    assert all(bool((t == 0).all()) for t in means)


def test_averaged_weights_are_what_is_kept(data: Path, tmp_path: Path) -> None:
    config = tiny.plain_config(data, tmp_path / "run", ema=0.5, val_split="none", base_lr=0.1)
    tiny.train(config)
    used = load_file(config.out / "last" / "model.safetensors")
    trained = load_file(config.out / "last" / "training.safetensors")
    name = next(n for n in used if n.endswith("weight"))
    current = trained[f"state.current_model_state.model.{name}"]
    assert not torch.equal(used[name], current)


def test_bfloat16_and_plain_memory_format(data: Path, tmp_path: Path) -> None:
    config = tiny.plain_config(
        data, tmp_path / "run", precision="bf16-mixed", channels_last=False, optimizer="adamw",
        base_lr=1e-3, loss_sampling="balanced", steps=3,
    )  # fmt: skip
    assert tiny.train(config).steps == 3
    tensors = load_file(config.out / "last" / "model.safetensors").values()
    assert all(t.dtype != torch.bfloat16 for t in tensors)


def test_global_random_state_is_left(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    tiny.train(tiny.plain_config(data, tmp_path / "run", steps=1, val_split="none"))
    assert torch.equal(torch.random.get_rng_state(), before)
