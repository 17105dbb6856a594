"""``lookwider data check PATH``: is this data set usable, and what is in it?"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from lookwider.cli.console import out

if TYPE_CHECKING:
    from lookwider.data.doctor.report import DataReport

app = typer.Typer(name="data", help="Look at data sets.", no_args_is_help=True)

LAYOUTS = (
    "camvid, cityscapes, ade20k, pascal-context, pascal-context-59, siftflow, voc, sbd, folder, "
    "list"
)
"""As in `lookwider.data.layouts`, which takes seconds to import."""

BAR = 12
"""Characters of the longest bar."""

SHOWN = 20
"""Bad and unpaired files that are listed; the report holds all."""


@app.callback()
def data() -> None:
    """Look at data sets."""


@app.command()
def check(
    path: Annotated[Path, typer.Argument(help="a folder, or a list file")],
    layout: Annotated[str, typer.Option(help=f"auto, {LAYOUTS}")] = "auto",
    split: Annotated[str | None, typer.Option(help="look at one split only")] = None,
    out_dir: Annotated[
        Path, typer.Option("--out", help="where pictures.png, classes.json, report.json go")
    ] = Path("data-check"),
    workers: Annotated[
        int | None, typer.Option(min=1, help="files read at once; one a processor by default")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the report as JSON")] = False,
) -> None:
    """Read every file of a data set and say what is there, what is wrong and what it means.

    Exit code 0: usable; 1: not usable; 2: wrong usage.
    """
    from lookwider.data.doctor.check import check_dataset

    report = check_dataset(path, layout=layout, split=split, out=out_dir, workers=workers)
    if as_json:
        out.print(report.to_json(), markup=False)
    else:
        print_report(report, out_dir)
    raise typer.Exit(0 if report.usable else 1)


def print_report(report: DataReport, out_dir: Path) -> None:
    """Print a report as tables, then the next useful command."""
    out.print(_overview(report))
    if report.classes:
        out.print(_histogram(report))
    _print_files("bad files", [f"{bad.path}\n    {bad.reason}" for bad in report.bad])
    _print_files("images without a label (left out)", report.unpaired_images)
    _print_files("labels without an image (left out)", report.unpaired_labels)
    for note in report.notes:
        out.print(f"[cyan]note:[/] {escape(note)}")
    for warning in report.warnings:
        out.print(f"[yellow]warning:[/] {escape(warning)}")
    for problem in report.problems:
        out.print(f"[red]problem:[/] {escape(problem)}")
    if report.class_file:
        out.print(
            f"\nclass map, as text to edit and put into the data set as classes.json "
            f"(also in {escape(str(out_dir / 'classes.json'))}):"
        )
        out.print(report.class_file, markup=False)
    if report.picture:
        out.print(f"pictures: {escape(report.picture)}")
    out.print(f"report:   {escape(str(out_dir / 'report.json'))}")
    _print_verdict(report)


def _overview(report: DataReport) -> Table:
    table = Table(title=escape(report.path), show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    splits = ", ".join(f"{count:,} {name}" for name, count in report.splits.items())
    table.add_row("layout", report.layout or "not recognised")
    table.add_row("pairs", f"{sum(report.splits.values()):,}" + (f" ({splits})" if splits else ""))
    table.add_row(
        "unpaired",
        f"{len(report.unpaired_images):,} images, {len(report.unpaired_labels):,} labels",
    )
    if report.sizes:
        small, middle, large = (
            f"{h} x {w}"
            for h, w in (report.sizes.smallest, report.sizes.median, report.sizes.largest)
        )
        table.add_row(
            "sizes (h x w)",
            f"{small} to {large}, median {middle}, {report.sizes.distinct:,} different",
        )
    table.add_row("images", _counted(report.images))
    table.add_row("labels", _counted(report.encodings))
    table.add_row("ignored", f"{report.ignored:.2%} of all pixels")
    table.add_row("bad files", f"{len(report.bad):,}")
    table.add_row("time", f"{report.seconds:.1f} s")
    return table


def _counted(counts: dict[str, int]) -> str:
    return "; ".join(f"{count:,} x {escape(kind)}" for kind, count in counts.items()) or "none"


def _histogram(report: DataReport) -> Table:
    table = Table(title="classes", title_justify="left")
    table.add_column("id", justify="right")
    table.add_column("class")
    table.add_column("stored as", overflow="fold", max_width=24)
    for title in ("pixels", "share", "images"):
        table.add_column(title, justify="right")
    table.add_column("", no_wrap=True, min_width=BAR)
    largest = max(count.share for count in report.classes) or 1.0
    for index, count in enumerate(report.classes):
        red, green, blue = count.colour
        bar = "█" * round(BAR * count.share / largest) or ("▏" if count.pixels else "")
        table.add_row(
            str(index),
            escape(count.name),
            _shortened(count.values),
            f"{count.pixels:,}",
            f"{count.share:.2%}",
            f"{count.images:,}",
            f"[rgb({red},{green},{blue})]{bar}[/]",
        )
    return table


def _shortened(values: tuple[str, ...]) -> str:
    more = f", ... ({len(values)})" if len(values) > 4 else ""
    return ", ".join(values[:4]) + more


def _print_files(title: str, files: tuple[str, ...] | list[str]) -> None:
    if not files:
        return
    out.print(f"\n[bold]{len(files):,} {title}[/]")
    for file in files[:SHOWN]:
        out.print(f"  {file}", markup=False)
    if len(files) > SHOWN:
        out.print(f"  ... and {len(files) - SHOWN:,} more, all in the report")


def _print_verdict(report: DataReport) -> None:
    where = shlex.quote(report.path)
    if report.usable:
        out.print("[bold green]usable[/]")
        out.print(f"next: lookwider train fcn8s data={where} out=runs/first", markup=False)
    else:
        out.print("[bold red]not usable yet[/]: mend what is listed above")
        out.print(f"next: lookwider data check {where}", markup=False)
