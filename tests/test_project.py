"""The project itself: who imports whom, the public names, the README's commands, the pages."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

import lookwider
from lookwider.cli import app
from lookwider.cli.settings import parse_settings
from lookwider.cli.verbs import VERBS, open_verb
from lookwider.training.recipes import RECIPES, configure

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "lookwider"
MODULES = sorted(SOURCE.rglob("*.py"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

TEST_COMMAND = "pip install -e '.[test]' && pytest"
DEMO_COMMAND = "pip install -e . && lookwider demo"

ORDER = (
    *("errors", "classes", "preprocessing", "images", "figures", "known_classes", "predictions"),
    "processes",
    *("layers", "kernels", "scores", "backbones", "context", "engine", "models", "weights"),
    *("data", "inference", "evaluation", "export", "diagnosis", "probes"),
    *("training", "report", "ablation", "demo", "bench", "environment", "hub"),
    *("lookwider", "web", "cli", "__main__"),
)
"""Packages and modules from low to high; ``lookwider`` is the package's own names."""

MODEL_SIDE = frozenset(
    {"layers", "kernels", "scores", "backbones", "context", "engine", "models", "weights"}
)
MOST_LINES = 300
BANNED_NAMES = frozenset({"utils.py", "common.py", "misc.py", "base.py", "helpers.py"})


def part_of(module: Path) -> str:
    """Return the package or top-level module that a file belongs to."""
    relative = module.relative_to(SOURCE)
    if relative == Path("__init__.py"):
        return "lookwider"
    return relative.parts[0].removesuffix(".py")


def imported_parts(module: Path) -> Iterator[str]:
    """Yield the parts of the package that a file imports, those inside functions too."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            package, _, rest = name.partition(".")
            if package == "lookwider":
                part = rest.partition(".")[0]
                yield (
                    part
                    if (SOURCE / part).is_dir() or (SOURCE / f"{part}.py").is_file()
                    else ("lookwider")
                )


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("module", MODULES, ids=relative)
def test_nothing_imports_upward(module):
    part = part_of(module)
    for imported in imported_parts(module):
        assert imported in ORDER, f"{imported} has no place in ORDER"
        assert ORDER.index(imported) <= ORDER.index(part), f"{part} imports {imported}"


def test_data_and_models_never_import_each_other():
    for module in MODULES:
        part, imported = part_of(module), set(imported_parts(module))
        if part == "data":
            assert not imported & MODEL_SIDE, module
        if part in MODEL_SIDE:
            assert "data" not in imported, module


def test_modules_have_telling_names_and_are_short():
    assert not [relative(m) for m in MODULES if m.name in BANNED_NAMES]
    lines = {relative(m): len(m.read_text(encoding="utf-8").splitlines()) for m in MODULES}
    assert not {name: count for name, count in lines.items() if count > MOST_LINES}


def test_the_public_names_are_sorted_and_there():
    assert lookwider.__all__ == sorted(lookwider.__all__)
    for name in lookwider.__all__:
        assert inspect.getdoc(getattr(lookwider, name)), name
    public = {name for name in vars(lookwider) if not name.startswith("_")}
    modules = {name for name in public if inspect.ismodule(getattr(lookwider, name))}
    assert public - modules == set(lookwider.__all__)


def test_the_public_names_are_documented():
    page = (ROOT / "docs" / "reference" / "index.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| \[`(\w+)`\]\[([\w.]+)\]", page, flags=re.MULTILINE)
    assert [name for name, _ in documented] == lookwider.__all__
    for name, target in documented:
        member = getattr(lookwider, name)
        assert target == f"{member.__module__}.{member.__qualname__}"


def test_the_two_commands_of_the_readme():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert lines.count(DEMO_COMMAND) == 1
    assert lines.count(TEST_COMMAND) == 1


def shell_lines(page: Path) -> list[str]:
    """Return the command lines of a page's bash blocks."""
    blocks = re.findall(r"```bash\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    joined = "".join(blocks).replace("\\\n", " ")
    return [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]


def commands(page: Path) -> list[list[str]]:
    """Return the ``lookwider`` commands of a page, split into words; inline ones too."""
    inline = re.findall(r"`(lookwider [^`]+)`", page.read_text(encoding="utf-8"))
    parts = [part.strip() for line in shell_lines(page) for part in line.split("&&")]
    return [shlex.split(text) for text in (*inline, *parts) if text.startswith("lookwider ")]


def verb_options(words: list[str]) -> tuple[list[str], set[str]]:
    """Return a command's words after its verb, and the options that the verb knows."""
    command = typer.main.get_command(app)
    words = words[1:]
    while words and hasattr(command, "commands"):
        if words[0].startswith("-"):
            break
        assert words[0] in command.commands, f"no such command: lookwider {words[0]}"
        inside = open_verb(words[0]) if words[0] in VERBS else command.commands[words[0]]
        command, words = inside, words[1:]
    return words, {option for p in command.params for option in (*p.opts, *p.secondary_opts)} | {
        "--help"
    }


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_command_on_a_page_exists(page):
    for words in commands(page):
        rest, options = verb_options(words)
        for word in rest:
            if word.startswith("--"):
                assert word.partition("=")[0] in options, " ".join(words)
        if words[1] == "train" and len(words) > 2 and words[2] in RECIPES:
            settings = [word for word in words[3:] if word != "..."]
            assert configure(words[2], parse_settings(settings)).recipe == words[2]


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_python_on_a_page_is_python(page):
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lookwider"):
                exec(ast.unparse(node), {})


def test_every_page_is_in_the_navigation():
    listed = re.findall(r": (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), flags=re.MULTILINE)
    docs = ROOT / "docs"
    pages = [*docs.rglob("*.md"), *(p.with_suffix(".md") for p in docs.rglob("*.ipynb"))]
    assert sorted(listed) == sorted(page.relative_to(docs).as_posix() for page in pages)
