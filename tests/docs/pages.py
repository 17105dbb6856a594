"""The pages of the documentation, and the blocks of commands and Python on them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(page for page in DOCS.rglob("*.md") if page.parent.name != "reference"),
)
"""All that is written by hand; the reference is made from docstrings, whose doctests run."""

FENCE = re.compile(
    r'^(?P<indent> *)```(?P<language>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^ *```$',
    re.M | re.S,
)
VARIABLE = re.compile(r"[A-Z_]+=\S*")


@dataclass(frozen=True)
class Block:
    """What stands between two fences.

    Attributes:
        place: page and line, to be found again.
        language: as after the fence.
        title: the file that the block quotes; empty for others.
        text: without the page's indentation.
    """

    place: str
    language: str
    title: str
    text: str


@dataclass(frozen=True)
class Command:
    """One command of a shell block.

    Attributes:
        place: page and line of its block.
        variables: of the environment, set in front of it.
        words: the command and its arguments.
    """

    place: str
    variables: dict[str, str]
    words: list[str]

    @property
    def text(self) -> str:
        """The command as one would type it."""
        return shlex.join(self.words)


def name_of(page: Path) -> str:
    """Return a page's path in the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, *languages: str) -> list[Block]:
    """Return the blocks of a page, of these languages."""
    content = page.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(content):
        if match["language"] in languages:
            line = content.count("\n", 0, match.start()) + 1
            text = re.sub(rf"^{match['indent']}", "", match["text"], flags=re.M)
            place = f"{name_of(page)}:{line}"
            found.append(Block(place, match["language"], match["title"] or "", text))
    return found


def commands(block: Block) -> Iterator[Command]:
    """Yield the commands of a shell block; in a console block they follow a dollar sign."""
    text = block.text
    if block.language == "console":
        text = "\n".join(re.findall(r"^\$ (.*(?:\\\n.*)*)", text, flags=re.M))
    for line in text.replace("\\\n", " ").splitlines():
        for part in line.split("&&"):
            words = shlex.split(part, comments=True)
            variables = {}
            while words and VARIABLE.fullmatch(words[0]):
                name, _, value = words.pop(0).partition("=")
                variables[name] = value
            if words:
                yield Command(block.place, variables, words)
