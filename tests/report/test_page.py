import re
from html.parser import HTMLParser
from importlib.resources import files

import numpy as np
import pytest
import torch

from lookwider.classes import Classes
from lookwider.errors import ConfigError, DataError
from lookwider.evaluation import ClassScores
from lookwider.evaluation.result import ImageScore
from lookwider.report import (
    Breakdown,
    BreakdownRow,
    Command,
    Section,
    render,
)
from lookwider.report.confusion import STRONG
from lookwider.report.page import COLOURS
from lookwider.report.parts import Cell, Drawing, Drawings, Panels, Table, Terms

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d494844520000000100000001080200000090"
    "7753de0000000c49444154089963f8ffff3f0005fe02fea739811e0000000049454e44ae426082"
)


def external_references(page: str) -> list[str]:
    """Return whatever a browser would fetch or follow outside of the page."""
    linked = re.findall(r"""(?:src|href|action|poster|srcset)\s*=\s*["']([^"'\s>]*)""", page)
    outside = [link for link in linked if not link.startswith(("data:image/", "#"))]
    return outside + re.findall(r"https?://|url\(|@import|<link|<iframe|<base", page)


class Tags(HTMLParser):
    """Checks that every element is closed where it should be."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass


@pytest.fixture
def section() -> Section:
    table = Table(
        ("run", "figure"),
        ((Cell("a<u>", run=1), Cell("3.5", best=True, share=0.25)),),
        "Numbers & more",
        runs={1: 1},
    )
    drawings = Drawings((Drawing(PIXEL, "a drawing of nothing", "A & B"),))
    blocks = (
        table,
        Terms((("word", "meaning"),)),
        drawings,
        Panels(((0, "first", drawings), (1, "second", drawings)), "Both", folded=True),
        Panels(((0, "first", drawings),), "One"),
        Table(("a",), ((Cell("b"),),), folded="A folded one"),
    )
    return Section("mine", "My section", ("Before.",), blocks, ("After.",))


def test_nothing_is_fetched_and_only_our_script_runs(make_run, gallery, section) -> None:
    runs = [make_run("one"), make_run("two", 70)]
    page = render(runs, title="runs", galleries=[gallery(2)], sections=[section])
    assert external_references(page) == []
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert "default-src 'none'" in policy
    assert re.search(r"script-src 'sha256-[\w+/=]{44}'$", policy)
    assert page.count("<script") == 1
    assert external_references('<img src="a.png"><a href="x">') == ["a.png", "x"]


def test_every_element_is_closed(make_run, gallery, section) -> None:
    for count in (1, 3):
        runs = [make_run(f"run {i}", 60 + i) for i in range(count)]
        page = render(runs, title="a", galleries=[gallery(count)] * 2, sections=[section])
        assert Tags(page).open == []


def test_names_are_text(make_run, gallery) -> None:
    page = render(
        [make_run("<s>one"), make_run("two")],
        title="<u>mine</u>",
        lead=["1 < 2"],
        galleries=[gallery(2)],
        commands=[Command("this & that", "lookwider predict 'a & b'")],
    )
    for tag in ("<u>", "<b>sea", "a<i>1", "<s>", "<script>alert"):
        assert tag not in page
    assert "&lt;b&gt;sea&lt;/b&gt; &amp; &#39;shore&#39;" in page
    assert "lookwider predict &#39;a &amp; b&#39;" in page


def test_a_class_that_is_not_there_has_no_number(make_run) -> None:
    page = render([make_run()], title="a run")
    row = page[page.index("never seen</th>") :].partition("</tr>")[0]
    assert row.count("–") == 2
    assert "nan" not in page.casefold()


def test_what_is_seen_is_also_said(make_run, gallery, section) -> None:
    runs = [make_run("one"), make_run("two")]
    page = render(runs, title="runs", galleries=[gallery(2)], sections=[section])
    pictures = re.findall(r"<img [^>]*>", page)
    assert len(pictures) == 6 + 4
    assert all(re.search(r'alt="[^"]{5,}"', picture) for picture in pictures)
    figures = re.findall(r"<svg (?![^>]*aria-hidden)[^>]*>", page)
    assert len(figures) == 2 + 2
    assert all(re.search(r'role="img" aria-label="[^"]{20,}"', figure) for figure in figures)
    assert "training loss of two: 3 at step 10, 1.25 at step 20; least 1.25 at step 20" in page
    assert "37.5 % at step 20" in page
    headings = re.findall(r"<h([1-6])", page)
    assert headings[0] == "1"
    assert set(headings[1:]) == {"2", "3"}
    anchors = re.findall(r'href="#([^"]+)"', page)
    assert all(f'id="{anchor}"' in page for anchor in anchors)
    assert len(set(re.findall(r' id="([^"]+)"', page))) == len(re.findall(r' id="', page))


def test_the_best_run_is_marked_and_said(make_run) -> None:
    runs = [make_run("worse"), make_run("better", 79)]
    page = render(runs, title="runs")
    assert "better has the highest mean IoU, 82.2 %, before worse 54.0; 28.1 points" in page
    assert page.count("(best)") == 4 + 2  # the metrics, and both classes
    assert "how much of a difference is chance cannot be told" in page
    alone = render(runs[:1], title="a run")
    assert "(best)" not in alone
    assert "points lie between" not in alone


def test_what_differs_between_runs_is_said_and_what_is_missing(make_run) -> None:
    one = make_run("one", missing={"context": "it has none"})
    other = make_run("two")
    assert other.config is not None
    other = make_run("two", config=other.config.model_copy(update={"base_lr": 0.5}))
    page = render([one, other], title="runs")
    row = page[page.index('<th scope="row">base_lr') :].partition("</tr>")[0]
    assert "0.5" in row
    assert '<th scope="row">out' not in page
    assert "one, context: it has none" in page


def test_colours_can_be_read_on_their_ground(make_run) -> None:
    """WCAG 2.2 wants a contrast of 4.5 for text and of 3 for what is drawn."""
    page = render([make_run()], title="a run")
    schemes = re.findall(r":root \{(.*?)\}", page, re.DOTALL)
    assert len(schemes) == 3
    for scheme in schemes:
        colours = dict(re.findall(r"--([\w-]+): (#\w+);", scheme))
        light = {name: luminance(value) for name, value in colours.items()}
        for ground in ("paper", "card"):
            assert contrast(light["ink"], light[ground]) >= 7
            assert contrast(light["soft"], light[ground]) >= 4.5
            for drawn in ("main", *(f"run{i + 1}" for i in range(COLOURS))):
                assert contrast(light[drawn], light[ground]) >= 3
        assert contrast(light["ink"], light["mark"]) >= 7
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


def test_groups_of_pixels(make_run) -> None:
    nothing = ((float("nan"),) * 2,) * 2
    rows = (BreakdownRow("thin", "Thin things.", 1234567, ((0.25, 0.75), (0.5, 0.5))),
            BreakdownRow("none", "Nothing.", 0, nothing))  # fmt: skip
    breakdown = Breakdown("By width", "Of a pixel.", ("right", "wrong"), rows, ("So it is.",))
    page = render([make_run("one"), make_run("two")], title="runs", breakdown=breakdown)
    assert "1\u202f234\u202f567 pixels" in page
    assert "width: 25.0%" in page
    assert "So it is." in page
    assert 'href="#breakdown"' in page


def test_a_checkpoint_without_a_run_and_without_pictures(make_run) -> None:
    page = render([make_run(config=None, rows=())], title="a checkpoint")
    assert 'id="curves"' not in page
    assert "<img" not in page
    assert "The complete settings" not in page
    assert Tags(page).open == []


def test_every_setting_is_on_the_page(make_run) -> None:
    run = make_run()
    page = render([run], title="a run")
    for name in run.config.model_dump(exclude={"resume"}):
        assert f"<code>{name}</code>" in page
    assert "photos &amp; more" in page


def test_runs_must_be_comparable(make_run) -> None:
    with pytest.raises(ConfigError, match="got no run to report on, expected at least one"):
        render([], title="nothing")
    one, scores = make_run("one"), ClassScores(Classes.numbered(2), torch.eye(2, dtype=torch.int64))
    evaluation = one.evaluation
    other = make_run("two", evaluation=type(evaluation)(scores, {}, evaluation.images, (), 1.0))
    with pytest.raises(DataError, match=r"two tells 2 classes apart .* expected the same"):
        render([one, other], title="runs")
    images = (ImageScore("elsewhere", 0.5, 0.5),)
    other = make_run("two", evaluation=type(evaluation)(evaluation.scores, {}, images, (), 1.0))
    with pytest.raises(DataError, match="measured on other images, expected the same"):
        render([one, other], title="runs")


def test_large_pictures_are_made_smaller(make_run, gallery) -> None:
    page = render([make_run()], title="a run", galleries=[gallery(1, (900, 1400))])
    widths = [int(w) for w in re.findall(r'<img [^>]*width="(\d+)"', page)]
    assert len(widths) == 4
    assert max(widths) <= 512


def test_more_runs_than_colours_begin_again(make_run) -> None:
    page = render([make_run(f"run{i}", 50 + i) for i in range(COLOURS + 1)], title="many")
    assert f"line run{COLOURS}" in page
    assert f"run{COLOURS + 1} " not in page.replace(f"run{COLOURS}<", "")


def test_the_templates_are_part_of_the_package() -> None:
    folder = files("lookwider.report").joinpath("templates")
    for name in ("page.html.j2", "macros.html.j2", "figures.html.j2", "page.css", "page.js"):
        assert folder.joinpath(name).is_file()
