from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from lookwider import ConfigError, create_model, save
from lookwider.bench import BenchResult, bench, machine
from lookwider.bench.network import network_to_measure
from lookwider.bench.stages import STAGES, WHOLE, write_picture
from lookwider.bench.writing import write_result
from lookwider.images import read_image
from lookwider.models import Segmenter

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def result() -> BenchResult:
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "SIDES", (64,))
        told: list[str] = []
        measured = bench(
            network_to_measure(None, num_classes=5, device=CPU),
            size=(40, 56),
            rounds=2,
            threads=1,
            training=True,
            tell=told.append,
        )
    assert torch.get_num_threads() == before
    assert any("2 of 2 rounds, about 0 s left" in text for text in told)
    return measured


def test_every_stage_is_there_and_both_forms_agree(result: BenchResult) -> None:
    works = [comparison.work for comparison in result.comparisons]
    assert works == [WHOLE, *STAGES, "loss", "training step"]
    assert result.difference < 1e-4
    assert result.agreement > 0.99
    assert result.threads == 1
    by_work = {comparison.work: comparison for comparison in result.comparisons}
    assert by_work["read"].floor is None
    floors = [by_work[name].floor or 0.0 for name in STAGES]
    assert by_work[WHOLE].floor == pytest.approx(math.fsum(floors))
    assert by_work["trunk"].flop > by_work["head"].flop > 0


def test_json_holds_every_round_and_the_machine(result: BenchResult, tmp_path: Path) -> None:
    files = write_result(result, tmp_path / "new" / "folder")
    assert [path.name for path in files] == ["bench.json", "bench.png"]
    facts = json.loads(files[0].read_text())
    assert facts == json.loads(json.dumps(result.to_json()))
    assert facts["machine"]["flops"] > 0
    trunk = next(c for c in facts["comparisons"] if c["work"] == "trunk")
    assert len(trunk["lookwider"]["seconds"]) == 2
    assert trunk["ratio"]["least"] <= trunk["ratio"]["median"] <= trunk["ratio"]["most"]
    assert read_image(files[1]).shape[0] > 100


def test_the_words_say_what_was_measured(result: BenchResult) -> None:
    assert result.title == (
        "pspnet on resnet18, 5 classes, one image of 40 x 56, float32, 1 thread"
    )
    text = "\n".join(result.summary())
    assert "GFLOP/s in a matrix product" in text
    assert "of the labels are the same" in text
    assert "with gradients: of 2 images" in text


def test_bands_of_the_made_up_picture(tmp_path: Path) -> None:
    assert read_image(write_picture(tmp_path, (37, 50), 3)).shape == (37, 50, 3)
    assert read_image(write_picture(tmp_path, (37, 50), 5)).shape == (37, 50, 5)
    assert read_image(write_picture(tmp_path, (1, 1), 3)).shape == (1, 1, 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch": 0}, "got batch=0, expected at least 1"),
        ({"rounds": 0}, "got rounds=0, expected at least 1"),
        ({"threads": 0}, "got threads=0, expected at least 1"),
        ({"size": (0, 5)}, "got a size of 0x5, expected at least 1x1"),
    ],
)
def test_numbers_that_are_none(settings: dict[str, int], message: str) -> None:
    model = create_model("fcn32s", backbone="resnet18")
    with pytest.raises(ConfigError, match=message):
        bench(model, **settings)


def test_models_without_both_forms_are_refused_at_once() -> None:
    model = create_model("fcn32s", backbone="resnet18").eval()
    for training in (True, False):
        with pytest.raises(ConfigError, match=r"got a model compiled .* it was compiled from"):
            bench(model.compile_for_inference(), training=training)
    with pytest.raises(ConfigError, match=r"got weights of torch.bfloat16, expected .*float\(\)"):
        bench(model.bfloat16(), dtype=torch.bfloat16)
    with pytest.raises(ConfigError, match=r"got dtype=torch.float16, expected torch.float32 or"):
        bench(model.float(), dtype=torch.float16)


def test_a_network_put_together_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "SIDES", (64,))
    model = network_to_measure(None, num_classes=3, device=CPU)
    own = Segmenter(
        model.backbone,
        model.context,
        {"main": model.heads["main"]},
        classes=model.classes,
    )
    result = bench(own.eval(), size=(33, 40), rounds=1, threads=1)
    assert result.network == f"network on {type(model.backbone).__name__}"
    assert result.difference < 1e-4


def test_a_run_is_measured_with_its_own_classes(tmp_path: Path) -> None:
    model = create_model("fcn32s", backbone="resnet18", num_classes=3)
    folder = save(model, tmp_path / "run")
    assert network_to_measure(str(folder), device=CPU).num_classes == 3
    with pytest.raises(ConfigError, match="which has its own; leave them out"):
        network_to_measure(str(folder), num_classes=4, device=CPU)


def test_a_network_by_name_has_scores_that_differ() -> None:
    model = network_to_measure("fcn8s", backbone="resnet18", device=CPU)
    assert model.architecture["backbone"] == "resnet18"
    assert model(torch.randn(1, 3, 32, 32)).std() > 0
    with pytest.raises(ConfigError, match="unknown run or model 'pspnt'; did you mean 'pspnet'"):
        network_to_measure("pspnt", device=CPU)
