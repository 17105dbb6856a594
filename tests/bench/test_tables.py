"""The table of the documentation, from the benchmarks' rows."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from PIL import Image

import performance_table as tables
from scaling import COLOURS
from timing import Row, save_rows

ROWS = (
    Row("loss", "float32", "interpolate", (5.0, 4.0, 6.0), (0.6, 0.12), difference=1.2e-7),
    Row(
        "labels", "float32", "interpolate + argmax", (10.0, 9.0, 11.0), (2.0, 0.2),
        wanted=12.0, agreement=1.0, memory_mib=(100.4, 5.0),
    ),
)  # fmt: skip


def test_rows_come_back_from_their_file_those_with_a_goal_first(tmp_path: Path) -> None:
    save_rows(ROWS, tmp_path / "new" / "rows.json")
    facts = json.loads((tmp_path / "new" / "rows.json").read_text())
    assert tuple(tables.read_rows([facts])) == ROWS
    assert "threads, PyTorch" in tables.machine([facts])


def test_cells_say_what_was_missed_and_how_equal_it_is() -> None:
    loss, labels = (tables.cells(row) for row in ROWS)
    assert loss[3:] == ["600 ms → 120 ms", "**5.00** (4.00 to 6.00)", "", "", "1e-07"]
    assert labels[3:] == [
        "2.00 s → 200 ms",
        "**10.00** (9.00 to 11.00)",
        "12 (missed)",
        "100 → 5 MiB",
        "100 % of the labels",
    ]
    assert tables.markdown(ROWS).count("\n") == 3


def test_a_share_below_one_never_reads_as_all() -> None:
    assert tables.percent(0.99999999) == "99.9999 %"
    assert tables.percent(0.5) == "50 %"


def test_the_page_keeps_what_is_outside_the_marks() -> None:
    page = f"before\n{tables.BEGIN}\nold\n{tables.END}\nafter\n"
    new = tables.between_marks(page, "table")
    assert new == f"before\n{tables.BEGIN}\n\ntable\n{tables.END}\nafter\n"
    assert tables.between_marks(new, "table") == new
    with pytest.raises(SystemExit, match="the page has no <!-- measured -->"):
        tables.between_marks("nothing", "table")


def test_the_picture_has_a_bar_per_row() -> None:
    with Image.open(io.BytesIO(tables.draw(ROWS))) as picture:
        assert picture.width > 400


def test_files_without_comparisons_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in (("other.json", "{}"), ("none.json", json.dumps({"rows": []}))):
        path = tmp_path / name
        path.write_text(text)
        monkeypatch.setattr(sys, "argv", ["table", str(path)])
        with pytest.raises(SystemExit, match=f"got no comparisons in .*{name}, expected at least"):
            tables.main()


def test_the_page_gets_the_table_and_both_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_rows(ROWS, tmp_path / "rows.json")
    point = {"batch": 1, "side": 200}
    point |= {f"{form} {what}": 1.0 for form in COLOURS for what in ("least", "most")}
    point |= {f"{form} per megapixel": 1.0 for form in COLOURS}
    scaled = {"network": "a", "dtype": "float32", "threads": 2, "sizes": [point]}
    (tmp_path / "scaling.json").write_text(json.dumps({**scaled, "batches": [point]}))
    (tmp_path / "other.json").write_text("{}")
    page = tmp_path / "page.md"
    page.write_text(f"{tables.BEGIN}{tables.END}")
    files = [str(tmp_path / f"{name}.json") for name in ("rows", "scaling", "other")]
    words = ["table", *files, "--page", str(page), "--pictures", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", words)
    tables.main()
    text = page.read_text()
    assert "| labels | float32 | interpolate + argmax |" in text
    for name in ("performance.png", "scaling.png"):
        assert f"]({name})" in text
        assert (tmp_path / name).is_file()
