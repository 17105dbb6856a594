"""Every command and every line of Python on the pages runs, on small data in a folder of its own.

What a page assumes is in `assumed`, how its commands are made small in `shorter`, and what does not
run here in `not_run`.
"""

from __future__ import annotations

import gc
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import torch
import typer
from matplotlib.figure import Figure
from PIL import Image
from tests.docs import assumed, not_run, pages, shorter
from tests.inference.bulk.small import InOneProcess
from typer.core import TyperGroup
from typer.testing import CliRunner

import lookwider as lw
from lookwider.ablation import find_table
from lookwider.ablation.plan import make_plan
from lookwider.cli import app
from lookwider.cli.settings import parse_settings
from lookwider.inference.bulk import engines
from lookwider.training.recipes import RECIPES, configure

SHELL = ("bash", "console", "sh", "shell")
WITH_BLOCKS = [page for page in pages.PAGES if pages.blocks(page, *SHELL, "python")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the folder that every page gets a copy of.

    What all tests of this process left is kept from the collector of garbage, which commands call
    before they measure memory.
    """
    gc.collect()
    gc.freeze()
    yield assumed.build(tmp_path_factory.mktemp("assumed"))
    gc.unfreeze()


@pytest.fixture
def here(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a copy of that folder, which is also the home folder.

    The workers of many images are not processes.
    """
    copy = tmp_path / "work"
    shutil.copytree(folder, copy)
    monkeypatch.chdir(copy)
    monkeypatch.syspath_prepend(copy)
    monkeypatch.setenv("HOME", str(copy))
    monkeypatch.setattr(engines, "LocalWorkers", InOneProcess)
    monkeypatch.setattr(Figure, "savefig", save_blank)
    return copy


def save_blank(figure: Figure, file: BinaryIO, **_: object) -> None:
    """Write one white pixel in place of a figure."""
    Image.new("RGB", (1, 1), "white").save(file, "PNG")


def given() -> dict[str, Any]:
    """Return the names that Python on the pages uses and leaves to the reader."""
    torch.manual_seed(0)
    model = lw.load("runs/a")
    images = torch.rand(2, 3, *assumed.SIZE)
    return {
        "lw": lw,
        "model": model,
        "network": torch.nn.Sequential(torch.nn.Conv2d(3, 4, 2, 2), torch.nn.MaxPool2d(2, 2)),
        "images": images,
        "labels": torch.randint(5, (2, *assumed.SIZE)),
        "score_map": model.scores(images)["main"],
    }


@pytest.mark.parametrize("page", WITH_BLOCKS, ids=pages.name_of)
def test_what_is_on_a_page_runs(
    page: Path, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, Any] = {}
    for block in pages.blocks(page, *SHELL, "python"):
        if block.language == "python":
            if not block.title and not any(words in block.text for words in not_run.PYTHON):
                names = names or given()
                text = "\n" * int(block.place.rpartition(":")[2]) + shorter.shorten_python(
                    block.text
                )
                exec(compile(text, page.name, "exec"), names)
            continue
        for command in pages.commands(block):
            parse(command)
            if not any(re.match(pattern, command.text) for pattern in not_run.COMMANDS):
                run(command, monkeypatch)


def run(command: pages.Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a command of lookwider, made small."""
    assert command.words[0] == "lookwider", f"{command.place}: {command.text} is not run anywhere"
    words = shorter.shorten_words(command.words)
    for word in words if words[1] == "train" else ():
        if word.startswith("out="):  # the page's run is not the one of that name from before
            shutil.rmtree(word.removeprefix("out="), ignore_errors=True)
    with monkeypatch.context() as environment:
        for name, value in command.variables.items():
            environment.setenv(name, value)
        result = CliRunner().invoke(app, words[1:])
    said = f"{command.place}: {' '.join(words)}\n{result.output}\n{result.exception!r}"
    assert result.exit_code == 0, said


def parse(command: pages.Command) -> None:
    """Check a command's own arguments, of those that do not run too."""
    words = command.words
    if "lookwider" in words:
        parse_lookwider(words[words.index("lookwider") :])
    elif words[0] in PARSERS:
        PARSERS[words[0]](words)


def parse_lookwider(words: list[str]) -> None:
    """Parse a command as the command line does, and the settings of a training."""
    known, rest = typer.main.get_command(app), words[1:]
    while isinstance(known, TyperGroup) and rest and not rest[0].startswith("-"):
        group = known.make_context("lookwider", [], resilient_parsing=True)
        _, known, rest = known.resolve_command(group, rest)
    at_once = {"--help", "--version", "--install-completion", "--show-completion"}
    known.make_context(known.name, list(rest), resilient_parsing=bool(at_once & set(rest)))
    if words[1] == "train" and rest and rest[0] in RECIPES:
        assert configure(rest[0], parse_settings(rest[1:])).recipe == rest[0]
    if words[1] == "ablate" and rest and not rest[0].startswith("-"):
        settings = parse_settings([word for word in rest[1:] if re.match(r"\w+=", word)])
        seeds = int(settings.pop("seeds", "1"))
        assert make_plan(find_table(rest[0]), settings, seeds=seeds, out=Path("out")).jobs


def parse_script(words: list[str]) -> None:
    """Check that a script or a module is there and knows the options."""
    if words[1] == "-c":
        compile(words[2], "page", "exec")
        return
    module = words[1] == "-m"
    script = words[2].replace(".", "/") + ".py" if module else words[1]
    source = (pages.ROOT / script).read_text(encoding="utf-8")
    for word in words[3 if module else 2 :]:
        assert not word.startswith("--") or f'"{word}"' in source, f"{script} has no {word}"


def parse_install(words: list[str]) -> None:
    """Check that the extras exist."""
    extras = (pages.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for extra in ",".join(re.findall(r"\[(.*?)\]", " ".join(words))).split(","):
        assert not extra or re.search(rf"^{extra} = \[", extras, re.M), f"no such extra: {extra}"


def parse_tests(words: list[str]) -> None:
    """Check that the files of tests are there."""
    for word in words[1:]:
        assert not word.startswith("tests/") or (pages.ROOT / word).exists(), (
            f"no such file: {word}"
        )


PARSERS: dict[str, Callable[[list[str]], None]] = {
    "python": parse_script, "pip": parse_install, "pytest": parse_tests,
}  # fmt: skip


def test_nothing_is_listed_that_is_on_no_page() -> None:
    shell = [block for page in pages.PAGES for block in pages.blocks(page, *SHELL)]
    texts = [command.text for block in shell for command in pages.commands(block)]
    for pattern in not_run.COMMANDS:
        assert any(re.match(pattern, text) for text in texts), pattern
    python = "".join(block.text for page in pages.PAGES for block in pages.blocks(page, "python"))
    for words in not_run.PYTHON:
        assert words in python, words
    for pattern, _ in shorter.PYTHON:
        assert re.search(pattern, python), pattern
