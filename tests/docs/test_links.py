"""Links, anchors and pictures of every page; no network is asked."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.docs import pages

LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
REFERENCE = sorted((pages.DOCS / "reference").glob("*.md"))
HEADING = re.compile(r"^#{1,6} (.+?)(?: \{.*\})?$", re.M)


def text_of(page: Path) -> str:
    """Return a page without its blocks of code and its reference links."""
    return re.sub(r"```.*?```|`[^`\n]*`(?!\])", "", page.read_text(encoding="utf-8"), flags=re.S)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as MkDocs and GitHub make them."""
    found = set()
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    for heading in HEADING.findall(text):
        words = re.sub(r"\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])", r"\1", heading)
        found.add(re.sub(r"[ -]+", "-", re.sub(r"[^\w\s-]", "", words).strip().lower()))
    return found


@pytest.mark.parametrize("page", [*pages.PAGES, *REFERENCE], ids=pages.name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for _, _, target in LINK.findall(text_of(page)):
        if target.startswith(("http:", "https:")):
            check_address(target)
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), f"{pages.name_of(page)} links to {target}"
        if anchor and file.suffix == ".md" and file.parent.name != "reference":
            assert anchor in anchors(file), f"{pages.name_of(page)} links to {target}"


def check_address(address: str) -> None:
    """Check that an address could be one: encrypted, with a host, without spaces or secrets."""
    parts = urlsplit(address)
    assert parts.scheme == "https", f"{address}: https, please"
    assert re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", parts.netloc), address
    assert re.fullmatch(r"[\w./%~-]*", parts.path), address
    assert not parts.query, f"{address}: what is asked for changes"


@pytest.mark.parametrize("page", pages.PAGES, ids=pages.name_of)
def test_every_picture_is_described(page: Path) -> None:
    for exclamation, words, target in LINK.findall(text_of(page)):
        if exclamation:
            assert len(words) > 10, f"{pages.name_of(page)}: say what {target} shows"


def test_pictures_are_small_and_on_a_page() -> None:
    shown = {
        (page.parent / target).resolve()
        for page in pages.PAGES
        for exclamation, _, target in LINK.findall(text_of(page))
        if exclamation
    }
    for picture in (pages.DOCS / "images").iterdir():
        assert picture.resolve() in shown, f"{picture.name} is on no page"
        assert picture.stat().st_size < 300_000, picture


def test_no_page_names_the_place_where_it_was_written() -> None:
    for page in pages.PAGES:
        found = re.findall(r"(?:/tmp|/root|/home|localhost:(?!\d))/?\w*", text_of(page))
        assert not found, f"{pages.name_of(page)}: {found}"
