import re
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch

from lookwider.classes import Classes
from lookwider.errors import ConfigError
from lookwider.evaluation import ClassScores, Evaluation
from lookwider.evaluation.pictures import Example
from lookwider.evaluation.result import ImageScore, WorstImage
from lookwider.report import Breakdown, BreakdownRow, Command, Gallery, render
from lookwider.report.figures import CELL, STRONG, confused, curve, heat_map
from lookwider.report.page import learning_curves, run_seconds
from lookwider.training.logs import MetricsTable, read_metrics
from lookwider.training.recipes import configure

NAMES = ("sky", "<b>sea</b> & 'shore'", "never seen")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    config = configure("fcn32s", {"steps": 20, "data": "photos & more", "out": tmp_path / "a"})
    folder = config.out
    folder.mkdir()
    (folder / "config.json").write_text(config.model_dump_json(exclude={"resume"}))
    table = MetricsTable(folder / "metrics.csv")
    table.begin(0)
    for step, loss in ((10, 3.0), (20, 1.25)):
        table.add({"step": step, "loss": loss, "lr": 0.1, "seconds": step * 1.5})
    table.add({"step": 20, "val_mean_iou": 0.375, "seconds": 33.0})
    return folder


def evaluation(worst: int = 1) -> Evaluation:
    scores = ClassScores(Classes.named(NAMES), torch.tensor([[60, 20, 0], [5, 15, 0], [0, 0, 0]]))
    label = np.array([[0, 0, 255], [1, 1, 0]], np.uint8)
    image = np.full((2, 3, 3), 90, np.uint8)
    bad = WorstImage(ImageScore("a<i>1", 0.25, 0.5), image, label, np.zeros((2, 3), np.uint8))
    protocol = {"data": "photos", "split": "test", "note": "</code><script>alert(1)</script>"}
    return Evaluation(scores, {}, (bad.score,), (bad,) * worst, 2.0, protocol)


def external_references(page: str) -> list[str]:
    """Return whatever a browser would fetch or follow outside of the page."""
    linked = re.findall(r"""(?:src|href|action|poster|data|srcset)\s*=\s*["']?([^"'\s>]*)""", page)
    outside = [link for link in linked if not link.startswith(("data:image/", "#"))]
    return outside + re.findall(r"https?://|url\(|@import|<link|<script|<iframe|<base", page)


def test_nothing_is_fetched_and_nothing_is_run(run: Path) -> None:
    page = render(run, evaluation(), title="a run")
    assert external_references(page) == []
    assert "default-src 'none'" in page
    assert external_references('<img src="a.png"><a href=x>') == ["a.png", "x"]


def test_names_are_text(run: Path) -> None:
    page = render(
        run,
        evaluation(),
        title="<u>mine</u>",
        lead=["1 < 2"],
        commands=[Command("this & that", "lookwider predict 'a & b'")],
    )
    assert "<u>" not in page
    assert "<b>" not in page
    assert "a<i>1" not in page
    assert "&lt;b&gt;sea&lt;/b&gt; &amp; &#39;shore&#39;" in page
    assert "lookwider predict &#39;a &amp; b&#39;" in page


def test_a_class_that_is_not_there_has_no_number(run: Path) -> None:
    page = render(run, evaluation(), title="a run")
    row = page[page.index("never seen</th>") :].partition("</tr>")[0]
    assert row.count("–") == 2
    assert "nan" not in page.casefold().replace("nanosecond", "")


def test_what_is_seen_is_also_said(run: Path) -> None:
    gallery = Gallery("Mine", "Two.", tuple(
        Example(f"photo {i}: fine", np.zeros((2, 2, 3), np.uint8), *[np.eye(2, dtype=np.uint8)] * 2)
        for i in range(2)
    ))  # fmt: skip
    page = render(run, evaluation(), title="a run", galleries=[gallery])
    pictures = re.findall(r"<img [^>]*>", page)
    assert len(pictures) == 3 * 4
    assert all(re.search(r'alt="[^"]{5,}"', picture) for picture in pictures)
    assert all(
        re.search(r'role="img" aria-label="[^"]{20,}"', s) for s in re.findall(r"<svg [^>]*>", page)
    )
    assert "training loss: 3 at step 10, 1.25 at step 20; least 1.25 at step 20" in page
    assert "37.5 % at step 20" in page
    headings = re.findall(r"<h([1-6])", page)
    assert headings[0] == "1"
    assert set(headings[1:]) == {"2"}
    anchors = re.findall(r'href="#([^"]+)"', page)
    assert all(f'id="{anchor}"' in page for anchor in anchors)
    assert len(set(re.findall(r' id="([^"]+)"', page))) == len(re.findall(r' id="', page))


def test_colours_can_be_read_on_their_ground(run: Path) -> None:
    """WCAG 2.2 wants a contrast of 4.5 for text and of 3 for what is drawn."""
    page = render(run, evaluation(), title="a run")
    schemes = re.findall(r":root \{(.*?)\}", page, re.DOTALL)
    assert len(schemes) == 3
    for scheme in schemes:
        colours = dict(re.findall(r"--([\w-]+): (#\w+);", scheme))
        light = {name: luminance(value) for name, value in colours.items()}
        for ground in ("paper", "card"):
            assert contrast(light["ink"], light[ground]) >= 7
            assert contrast(light["soft"], light[ground]) >= 4.5
            assert contrast(light["main"], light[ground]) >= 3
        for share in np.linspace(0, 1, 21):
            blended = luminance(colours["main"], colours["paper"], share)
            ink = light["strong" if share >= STRONG else "cell"]
            assert contrast(ink, blended) >= 4.4  # 4.58 is the most that a ground between allows


def luminance(colour: str, ground: str = "#000000", share: float = 1.0) -> float:
    def channels(text: str) -> np.ndarray:
        digits = text[1:] if len(text) == 7 else "".join(2 * digit for digit in text[1:])
        return np.array([int(digits[i : i + 2], 16) for i in (0, 2, 4)]) / 255

    mixed = share * channels(colour) + (1 - share) * channels(ground)
    linear = np.where(mixed <= 0.04045, mixed / 12.92, ((mixed + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: float, other: float) -> float:
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)


def test_groups_of_pixels(run: Path) -> None:
    rows = (BreakdownRow("thin", "Thin things.", 1234567, (0.25, 0.75)),
            BreakdownRow("none", "Nothing.", 0, (float("nan"), float("nan"))))  # fmt: skip
    breakdown = Breakdown("By width", "Of a pixel.", ("right", "wrong"), rows, ("So it is.",))
    page = render(run, evaluation(), title="a run", breakdown=breakdown)
    assert "1\u202f234\u202f567" in page
    assert "width: 25.0%" in page
    assert "So it is." in page
    assert 'href="#breakdown"' in page


def test_a_run_without_figures_and_an_evaluation_without_pictures(run: Path) -> None:
    (run / "metrics.csv").unlink()
    page = render(run, evaluation(worst=0), title="a run")
    assert 'id="curves"' not in page
    assert "<img" not in page
    assert "0 steps" in page


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        render(tmp_path, evaluation(), title="a run")


def test_every_setting_is_on_the_page(run: Path) -> None:
    page = render(run, evaluation(), title="a run")
    for name in configure("fcn32s").model_dump(exclude={"resume"}):
        assert f"<code>{name}</code>" in page
    assert "photos &amp; more" in page


def test_curves_are_drawn_to_scale(run: Path) -> None:
    drawn = curve("loss", [0, 50, 100], [4.0, 2.0, 0.0])
    (x0, y0), (x1, y1), (x2, y2) = drawn.points
    assert x1 - x0 == pytest.approx(x2 - x1)
    assert y1 - y0 == pytest.approx(y2 - y1)
    assert y0 < y1 < y2
    zero = next(tick for tick in drawn.ys if tick.text == "0")
    assert zero.at == pytest.approx(y2)
    loss, iou = learning_curves(read_metrics(run / "metrics.csv"))
    assert len(loss.points) == 2
    assert len(iou.points) == 1


def test_a_curve_of_zeros_and_one_of_nothing_finite() -> None:
    assert curve("mean IoU", [1], [0.0], " %").points[0][1] == curve("x", [1], [0.0]).ys[0].at
    rows = [{"step": "1", "loss": "nan", "val_mean_iou": "", "seconds": "1"}]
    assert learning_curves(rows) == []


def test_the_clock_of_a_run_begins_anew_where_it_was_continued() -> None:
    assert run_seconds([]) == 0
    assert run_seconds([{"seconds": s} for s in ("5", "9", "2", "4", "1")]) == 9 + 4 + 1


def test_confusion_is_in_shares_of_the_truth() -> None:
    classes = Classes.named(["a", "b"])
    counts = np.array([[90, 10], [0, 0]])
    heat = heat_map(counts, classes)
    assert [(c.row, c.column, c.share, c.strong) for c in heat.cells] == [
        (0, 0, 0.9, True),
        (0, 1, 0.1, False),
    ]
    assert heat.side == heat.margin + 2 * CELL
    assert [(c.truth, c.prediction) for c in confused(counts, classes)] == [("a", "b")]
    many = Classes.numbered(30)
    assert not heat_map(np.eye(30, dtype=np.int64), many).numbers


def test_large_pictures_are_made_smaller(run: Path) -> None:
    large = Example("large: one", np.zeros((900, 1400, 3), np.uint8),
                    *[np.zeros((900, 1400), np.uint8)] * 2)  # fmt: skip
    page = render(run, evaluation(0), title="a run", galleries=[Gallery("G", "One.", (large,))])
    widths = [int(w) for w in re.findall(r'<img [^>]*width="(\d+)"', page)]
    assert len(widths) == 4
    assert max(widths) <= 512


def test_the_template_is_part_of_the_package() -> None:
    assert files("lookwider.report").joinpath("page.html.j2").is_file()
