"""A measured table as text: for a terminal, as Markdown, and as the files of its folder."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from lookwider.ablation.plan import MARKER, Plan
from lookwider.ablation.plot import plot
from lookwider.ablation.published import MARKS, MEANINGS
from lookwider.ablation.result import AblationResult
from lookwider.images import write_bytes

MARKDOWN, PICTURE = "ablation.md", "ablation.png"

KINDS_TITLE = "right pixels among those that probe a kind of failure"

OTHER_DATA = (
    "The paper's numbers are of other data ({}) and of a longer training: compare the order of "
    "the rows and their differences, not the values."
)


def write_result(result: AblationResult) -> list[Path]:
    """Write the Markdown, JSON and picture of a table; return their paths."""
    text = json.dumps(result.to_json(), indent=1, allow_nan=False)
    contents = (markdown(result).encode(), (text + "\n").encode(), plot(result))
    written = paths(result.plan)
    for path, content in zip(written, contents, strict=True):
        write_bytes(path, content)
    return written


def paths(plan: Plan) -> list[Path]:
    """Return where a table's Markdown, JSON and picture are."""
    return [plan.out / name for name in (MARKDOWN, MARKER, PICTURE)]


def command(plan: Plan) -> str:
    """Return the command that makes the table, or goes on with it."""
    words = ["lookwider", "ablate", plan.table.name]
    words += [f"{name}={value}" for name, value in plan.settings.items()]
    words += [f"seeds={plan.seeds}", f"test_split={plan.split}", "--out", str(plan.out)]
    return shlex.join(words)


HEADINGS = (
    "row", "mean IoU", "to the first row", "pixel accuracy",
    "paper: mean IoU", "paper: pixel accuracy",
)  # fmt: skip


def lines(result: AblationResult) -> list[list[str]]:
    """Return the cells of every row under `HEADINGS`, in per cent."""
    first = result.plan.table.rows[0]
    return [
        [
            row.label,
            result.metric(row, "mean_iou").shown() + _lost(result, row.label),
            "" if row is first else result.gain(row).shown(signed=True),
            result.metric(row, "pixel_accuracy").shown(),
            row.published.shown("mean_iou"),
            row.published.shown("pixel_accuracy"),
        ]
        for row in result.plan.table.rows
    ]


def kind_lines(result: AblationResult) -> list[list[str]]:
    """Return the shares of right pixels by kind of failure of every row, in per cent."""
    return [
        [row.label, *(result.failure(row, kind).shown() for kind in result.kinds)]
        for row in result.plan.table.rows
    ]


def _lost(result: AblationResult, label: str) -> str:
    """Say how many seeds a mean is of, where some are missing."""
    runs = result.runs(result.plan.table.row(label))
    ended = sum(run.scores is not None for run in runs)
    failed = sum(run.error is not None for run in runs)
    if ended == len(runs):
        return ""
    return f" ({failed} failed)" if failed else f" ({ended} of {len(runs)} seeds)"


def terminal_tables(result: AblationResult) -> list[Table]:
    """Return the table for a terminal, and that of the kinds of failure where they are known."""
    tables = [_terminal_table(result.plan.table.title, HEADINGS, lines(result))]
    if result.kinds:
        head = ("row", *result.kinds)
        tables.append(_terminal_table(KINDS_TITLE, head, kind_lines(result)))
    return tables


def _terminal_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(title=Text(title), title_justify="left")
    for index, name in enumerate(head):
        table.add_column(name, justify="right" if index else "left", overflow="fold")
    for cells in rows:
        table.add_row(*(Text(cell) for cell in cells))
    return table


def footnotes(result: AblationResult) -> list[str]:
    """Return what the marks in the table mean, what to know, and which runs failed."""
    table = result.plan.table
    sources = {row.published.source for row in table.rows if row.published.source in MEANINGS}
    notes = [f"`{MARKS[source]}` {MEANINGS[source]}." for source in MEANINGS if source in sources]
    notes += [OTHER_DATA.format(table.published_on), *table.remarks]
    if result.missing:
        notes.append(f"Not finished: {result.missing} of {len(result.outcomes)} runs are missing.")
    return notes


def markdown(result: AblationResult) -> str:
    """Return the page of a table."""
    plan = result.plan
    parts = [
        f"# {plan.table.title}",
        f"Source: {plan.table.source}.",
        _protocol(result),
        _markdown_table(HEADINGS, lines(result)),
        "In per cent, mean ± sample standard deviation over the seeds. Differences to the first "
        "row are taken seed by seed.",
        "\n".join(f"- {note}" for note in footnotes(result)),
        f"![mean IoU of every row, and the paper's]({PICTURE})",
    ]
    if result.kinds:
        parts += [
            "## By kind of failure",
            f"Share of the {KINDS_TITLE} (PSPNet, section 3.1), in per cent.",
            _markdown_table(("row", *result.kinds), kind_lines(result)),
        ]
    parts += ["## Every seed", _seeds(result)]
    if result.failed:
        parts += ["## Failed runs", "\n".join(f"- {failure}" for failure in result.failures)]
    parts += ["## Again", f"```bash\n{command(plan)}\n```"]
    return "\n\n".join(parts) + "\n"


def _protocol(result: AblationResult) -> str:
    plan = result.plan
    config = plan.jobs[0].config
    shared = result.to_json()["shared"]
    trunk = f"trunk {shared['backbone']}, " if "backbone" in shared else ""
    weights = "ImageNet weights" if config.pretrained else "random weights"
    length = f"{config.steps} steps" if config.steps else f"{config.epochs:g} epochs"
    seeds = f"seeds 0 to {plan.seeds - 1}" if plan.seeds > 1 else "seed 0"
    kept = f"the weights of the best mean IoU on {config.val_split}"
    return (
        f"Measured on {plan.data}, split {plan.split}, whole images: {trunk}from {weights}, "
        f"{length} of {config.batch_size * config.accumulate} images, {config.optimizer} with "
        f"base_lr={config.base_lr:g}, {seeds}, "
        f"{kept if config.val_split else 'the last weights'}."
    )


def _markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def _seeds(result: AblationResult) -> str:
    rows = [
        [
            outcome.job.row.label,
            str(outcome.job.seed),
            *(
                "-" if outcome.scores is None else f"{100 * outcome.scores.metrics[name]:.2f}"
                for name in ("mean_iou", "pixel_accuracy", "mean_accuracy", "freq_weighted_iou")
            ),
        ]
        for row in result.plan.table.rows
        for outcome in result.runs(row)
    ]
    head = ["row", "seed", "mean IoU", "pixel accuracy", "mean accuracy", "freq. weighted IoU"]
    return _markdown_table(head, rows)
