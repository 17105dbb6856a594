"""Turns the notebooks of ``docs/notebooks`` into pages of the site, with their stored outputs.

A hook of mkdocs. Nothing is run and nothing comes from elsewhere: a notebook becomes Markdown,
and its pictures files beside it.
"""

from __future__ import annotations

import base64
import re
from pathlib import PurePosixPath

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page and the pictures of every notebook."""
    for file in list(files):
        if file.src_uri.endswith(".ipynb"):
            name = PurePosixPath(file.src_uri).stem
            text, pictures = markdown(nbformat.reads(file.content_string, as_version=4), name)
            page = str(PurePosixPath(file.src_uri).with_suffix(".md"))
            files.append(File.generated(config, page, content=text))
            for picture, content in pictures.items():
                uri = str(PurePosixPath(file.src_uri).with_name(picture))
                files.append(File.generated(config, uri, content=content))
    return files


def on_page_markdown(text: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links to notebooks, which work in the repository, to their pages."""
    return re.sub(r"(\([\w/.]*notebooks/\w+)\.ipynb\)", r"\1.md)", text)


def markdown(notebook: nbformat.NotebookNode, name: str) -> tuple[str, dict[str, bytes]]:
    """Return a notebook as Markdown, and its pictures by file name.

    Args:
        notebook: as nbformat reads it.
        name: of its file, which the page links to.
    """
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for output in cell.outputs:
            data = output.get("data", {})
            if output.output_type == "stream":
                parts.append(f"```text\n{output.text.rstrip()}\n```")
            elif "image/png" in data:
                picture = f"{name}-{len(pictures)}.png"
                pictures[picture] = base64.b64decode(data["image/png"])
                parts.append(f"![What the cell above shows]({picture})")
            else:
                parts.append(f"```text\n{data['text/plain'].rstrip()}\n```")
    link = f"*This page is the notebook [{name}.ipynb]({name}.ipynb), with its outputs.*"
    parts.insert(1, link)
    return "\n\n".join(parts) + "\n", pictures
