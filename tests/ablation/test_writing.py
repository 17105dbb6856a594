import io
import json
import statistics
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from tests.ablation import tiny

from lookwider.ablation import writing
from lookwider.ablation.result import AblationResult, Outcome


@pytest.fixture
def result(tmp_path: Path) -> AblationResult:
    return tiny.result(tmp_path / "out")


def cells(text: str, label: str) -> list[list[str]]:
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row[1:]] for row in rows if row[0] == label]


def test_means_spreads_and_gains(result: AblationResult) -> None:
    coarse, fine, plain = result.plan.table.rows
    values = (0.40, 0.41, 0.44)
    spread = result.metric(coarse, "mean_iou")
    assert spread.values == pytest.approx(values)
    assert spread.mean == pytest.approx(statistics.fmean(values))
    assert spread.deviation == pytest.approx(statistics.stdev(values))
    assert result.gain(fine).values == pytest.approx([0.05] * 3)
    assert result.gain(plain).values == pytest.approx([-0.1])
    assert result.missing == 1
    best = result.best()
    assert best is not None
    assert best.job.name == "fine, seed 2"


def test_markdown(result: AblationResult) -> None:
    page = writing.markdown(result)
    assert page.startswith("# Tiny: coarse and fine\n\nSource: nobody 2015, table 9.")
    assert cells(page, "coarse")[0] == ["41.7 ± 2.1", "", "20.8 ± 1.0", "59.4", "89.1"]
    assert cells(page, "fine")[0] == ["46.7 ± 2.1", "+5.0 ± 0.0", "23.3 ± 1.0", "60.25?", "-"]
    assert cells(page, "plain")[0] == ["30.0 (1 failed)", "-10.0", "15.0", "diverged", "-"]
    assert cells(page, "coarse")[1] == ["40.0 ± 0.0"]  # by kind of failure
    assert cells(page, "fine")[2:] == [
        ["0", "45.00", "22.50", "22.50", "22.50"],
        ["1", "46.00", "23.00", "23.00", "23.00"],
        ["2", "49.00", "24.50", "24.50", "24.50"],
    ]
    assert "- plain, seed 1: no luck, at all" in page
    assert "- `?` from memory, NOT verified." in page
    assert "of other data (little data)" in page
    assert "compare the order" in page
    assert "- A remark." in page
    assert "Not finished: 1 of 9 runs are missing." in page
    assert "trunk test_efficientnet, from random weights, 2 steps of 2 images" in page
    assert "seeds 0 to 2, the weights of the best mean IoU on val" in page
    assert writing.command(result.plan) in page


def test_without_kinds_of_failure(tmp_path: Path) -> None:
    result = tiny.result(tmp_path, kinds=False)
    assert "kind of failure" not in writing.markdown(result)
    assert len(writing.terminal_tables(result)) == 1


def test_files(result: AblationResult) -> None:
    written = writing.write_result(result)
    assert [path.name for path in written] == ["ablation.md", "ablation.json", "ablation.png"]
    content = json.loads(written[1].read_text())
    assert content == result.to_json()
    assert content["table"]["name"] == "tiny"
    fine = content["rows"][1]
    assert fine["published_in_per_cent"] == {
        "mean_iou": 60.25, "pixel_accuracy": None, "source": "memory", "remark": "",
    }  # fmt: skip
    assert fine["mean_iou"]["sample_deviation"] == pytest.approx(0.0208167, abs=1e-6)
    assert fine["starts_from"] == "coarse"
    assert fine["runs"][2]["metrics"]["mean_iou"] == pytest.approx(0.49)
    assert fine["right_by_kind_of_failure"]["a kind"]["mean"] == pytest.approx(0.45)
    assert content["rows"][2]["runs"][1]["error"] == "no luck,\n  at all"
    assert content["shared"]["backbone"] == "test_efficientnet"
    assert "base_lr" not in content["shared"]
    with Image.open(written[2]) as picture:
        assert picture.width > 900
        assert np.asarray(picture.convert("L")).std() > 10


def test_nothing_measured_yet(tmp_path: Path) -> None:
    plan = tiny.plan(tmp_path, seeds=1)
    result = AblationResult(plan, tuple(Outcome(job) for job in plan.jobs))
    page, _, picture = writing.write_result(result)
    assert cells(page.read_text(), "fine")[0] == ["- (0 of 1 seeds)", "-", "-", "60.25?", "-"]
    assert picture.stat().st_size > 5000
    assert result.best() is None
    assert result.to_json()["rows"][0]["mean_iou"]["mean"] is None


def test_terminal(result: AblationResult) -> None:
    console = Console(file=io.StringIO(), width=120, record=True)
    for table in writing.terminal_tables(result):
        console.print(table)
    said = console.export_text()
    assert "46.7 ± 2.1" in said
    assert "60.25?" in said
    assert "a kind" in said


def test_failures_are_told_once_for_all_seeds(result: AblationResult) -> None:
    again = [
        Outcome(o.job, None, "no luck, at all") if o.job.row.label == "plain" else o
        for o in result.outcomes
    ]
    failures = AblationResult(result.plan, tuple(again)).failures
    assert failures == ("plain, seeds 0, 1, 2: no luck, at all",)
