from pathlib import Path

from lookwider.training.logs import COLUMNS, MetricsTable, read_metrics


def test_rows_after_the_step_continued_from_come_again(tmp_path: Path) -> None:
    table = MetricsTable(tmp_path / "metrics.csv")
    table.begin(0)
    for step in (2, 4, 6):
        table.add({"step": step, "loss": 1 / step})
    MetricsTable(table.path).begin(4)
    table.add({"step": 6, "loss": 0.125})
    rows = read_metrics(table.path)
    assert [(row["step"], row["loss"]) for row in rows] == [
        ("2", "0.5"),
        ("4", "0.25"),
        ("6", "0.125"),
    ]
    assert rows[0]["val_mean_iou"] == ""


def test_a_row_cut_off_in_the_middle_is_dropped(tmp_path: Path) -> None:
    table = MetricsTable(tmp_path / "metrics.csv")
    table.begin(0)
    table.add({"step": 2})
    with table.path.open("a") as file:
        file.write("4,0.1")
    assert [row["step"] for row in read_metrics(table.path)] == ["2"]
    table.begin(2)
    assert table.path.read_text().splitlines()[0] == ",".join(COLUMNS)
    assert len(table.path.read_text().splitlines()) == 2


def test_no_table_yet(tmp_path: Path) -> None:
    assert read_metrics(tmp_path / "metrics.csv") == []
