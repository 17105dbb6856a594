"""What pages say of the source is so: quoted code, named tests, named modules and packages."""

from __future__ import annotations

import re
import textwrap
import tomllib
from pathlib import Path

import pytest
from tests.docs import pages

SOURCE = pages.ROOT / "src" / "lookwider"
LANGUAGES = {
    *("bash", "console", "python", "text", "json", "bibtex"),
    *("yaml", "toml", "html", "javascript", "ini", "dockerfile", "http"),
}


def test_every_block_says_its_language() -> None:
    for page in pages.PAGES:
        text = page.read_text(encoding="utf-8")
        fences = re.findall(r"^ *```", text, flags=re.M)
        found = list(pages.FENCE.finditer(text))
        assert len(fences) == 2 * len(found), f"{pages.name_of(page)}: a block without a language"
        assert {match["language"] for match in found} <= LANGUAGES, pages.name_of(page)


@pytest.mark.parametrize("page", pages.PAGES, ids=pages.name_of)
def test_quoted_code_is_the_source(page: Path) -> None:
    for block in pages.blocks(page, *LANGUAGES):
        if block.title.startswith("src/"):
            source = (pages.ROOT / block.title).read_text(encoding="utf-8")
            depths = (textwrap.indent(block.text, " " * depth) for depth in range(0, 17, 4))
            assert any(f"\n{quoted}" in source for quoted in depths), (
                f"{block.place} is no longer what {block.title} says"
            )


@pytest.mark.parametrize("page", pages.PAGES, ids=pages.name_of)
def test_named_tests_and_files_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for path, name in re.findall(r"\b((?:tests|benchmarks)/[\w/]+\.py)(?:::(\w+))?", text):
        file = pages.ROOT / path
        assert file.is_file(), f"{pages.name_of(page)} names {path}, which is not there"
        assert not name or f"def {name}(" in file.read_text(encoding="utf-8"), f"{path}::{name}"
    for path in re.findall(r"`((?:tests|src|benchmarks)/[\w/]+)/?`", text):
        assert (pages.ROOT / path).exists(), f"{pages.name_of(page)} names {path}"
    for path in re.findall(r"`(\w+/[\w/]+\.py)`", text):
        known = (SOURCE / path).is_file() or (pages.ROOT / path).is_file()
        assert known, f"{pages.name_of(page)} names {path}, which is not there"


def test_the_paper_pages_quote_the_source_and_name_their_tests() -> None:
    for page in sorted((pages.DOCS / "papers").glob("*.md")):
        assert any(block.title for block in pages.blocks(page, "python")), page
        assert re.search(r"`tests/[\w/]+\.py::test_\w+`", page.read_text(encoding="utf-8")), page


def test_the_design_page_names_every_package_and_no_other() -> None:
    text = (pages.DOCS / "design.md").read_text(encoding="utf-8")
    table = text.partition("| package | what it holds |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\|([^|]+)\|", table, re.M))))
    for folder in re.findall(r"`(\w+/\w+)`", table):
        assert (SOURCE / folder).is_dir(), folder
    packages = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    assert packages - named == set()
    assert all((SOURCE / name).is_dir() or (SOURCE / f"{name}.py").is_file() for name in named)


def test_the_order_on_the_design_page_is_the_tested_one() -> None:
    from tests.test_project import ORDER

    text = (pages.DOCS / "design.md").read_text(encoding="utf-8")
    block = text.partition("## Who imports whom")[2].partition("```text\n")[2].partition("```")[0]
    assert block.replace(",", " ").split() == [name for name in ORDER if name != "lookwider"]


def test_the_readme_lists_every_extra() -> None:
    project = tomllib.loads((pages.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    rows = re.findall(r"^\| (`\.\[.*?) \|", (pages.ROOT / "README.md").read_text(), flags=re.M)
    assert set(re.findall(r"\[(\w+)\]", "".join(rows))) == set(project["optional-dependencies"])
