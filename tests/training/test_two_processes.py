"""Two processes on one machine train what one process trains."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from tests.training import tiny, together

from lookwider.training import run
from lookwider.training.logs import read_metrics

SETTINGS = {
    "class_weights": "median_frequency",
    "loss_sampling": "hard",
    "accumulate": "2",
    "clip_grad": "1.0",
    "ema": "0.5",
    "schedule": "fixed",
    "zero_scores": "false",
    "flip": "0.5",
}
WORDS = [f"{name}={value}" for name, value in SETTINGS.items()]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven images to train on, and three to validate on: two in one process, one in the other."""
    return tiny.make_data(tmp_path_factory.mktemp("data") / "tiny", val=3)


@pytest.fixture(scope="module")
def alone(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("alone") / "run"
    with pytest.MonkeyPatch.context() as patch:
        together.in_float64(patch)
        run.train(tiny.plain_config(data, out, **SETTINGS), Console(quiet=True))
    return out


def train_in_two(data: Path, out: Path, *words: str) -> list[str]:
    answers = together.ended(together.start(2, "train", str(data), str(out), *WORDS, *words))
    assert [code for code, _ in answers] == [0, 0], answers
    return [said for _, said in answers]


def assert_same_run(one: Path, other: Path) -> None:
    for name in ("last/model.safetensors", "last/training.safetensors", "best/model.safetensors"):
        expected, found = load_file(one / name), load_file(other / name)
        assert found.keys() == expected.keys()
        for key, tensor in expected.items():
            torch.testing.assert_close(found[key], tensor, rtol=1e-7, atol=1e-9, msg=key)


def assert_same_figures(one: Path, other: Path) -> None:
    for left, right in zip(*(read_metrics(r / "metrics.csv") for r in (one, other)), strict=True):
        for column in ("step", "epoch", "loss", "lr"):
            assert left[column] == right[column]
        counted = [name for name in left if name.startswith("val_")]
        assert [left[name] for name in counted] == [right[name] for name in counted]


def test_gradients_are_those_of_one_process(tmp_path: Path) -> None:
    """Means over all valid pixels, hard pixels and sampled cells of the whole batch, and norms."""
    answers = together.ended(together.start(2, "gradients", str(tmp_path / "found.safetensors")))
    assert [code for code, _ in answers] == [0, 0], answers
    found = load_file(tmp_path / "found.safetensors")
    for case in together.CASES:
        expected = together.gradients(case)
        largest = max(float(tensor.abs().max()) for tensor in expected.values())
        assert largest > 0
        for name, tensor in expected.items():
            torch.testing.assert_close(
                found[f"{case}/{name}"], tensor, rtol=1e-9, atol=1e-11 * largest
            )


def test_a_run_is_that_of_one_process_and_only_the_first_speaks(
    data: Path, alone: Path, tmp_path: Path
) -> None:
    first, second = train_in_two(data, tmp_path / "two")
    assert_same_run(alone, tmp_path / "two")
    assert_same_figures(alone, tmp_path / "two")
    assert "best mean IoU on val" in first
    assert second == ""


@pytest.mark.parametrize("first", [1, 2])
def test_a_run_is_continued_by_another_number_of_processes(
    data: Path, alone: Path, tmp_path: Path, first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    together.in_float64(monkeypatch)
    out = tmp_path / "run"
    half = tiny.plain_config(data, out, **SETTINGS, steps=3)
    whole = tiny.plain_config(data, out, **SETTINGS, resume=True)
    if first == 1:
        run.train(half, Console(quiet=True))
        said = train_in_two(data, out, "resume=true")[0]
        assert "from step 3 (last/)" in said
    else:
        train_in_two(data, out, "steps=3")
        run.train(whole, Console(quiet=True))
    assert_same_run(alone, out)
