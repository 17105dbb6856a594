"""The notebooks run from their first cell to the last, with small numbers in the settings."""

import base64
import io
import sys
from pathlib import Path

import nbformat
import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from PIL import Image

import lookwider as lw

NOTEBOOKS = Path(__file__).resolve().parents[2] / "docs" / "notebooks"

SMALL = {
    "own_folder": "FOLDER, IMAGES, STEPS = 'pictures', 12, 1",
    "papers": "SIZE, SCENE = (48, 64), 3",
    "huge_image": "RUN, SIZE, TILE = 'run', (192, 256), 128",
    "probe_your_network": "SIZE, AT, WINDOW, STRIDE = (48, 64), (30, 34), 16, 16",
}
"""What stands in for the settings of each notebook."""

PAGES = sorted(NOTEBOOKS.glob("*.ipynb"))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Work in a folder that holds the run that notebooks ask for."""
    torch.manual_seed(0)
    model = lw.create_model("parsenet", backbone="test_resnet", output_stride=32, num_classes=21)
    lw.save(model, tmp_path / "run")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def shell(monkeypatch):
    """Return what runs a notebook's cells, in this process: a kernel imports PyTorch for seconds.

    Pictures are made as in a kernel, and shown nowhere.
    """
    hook, excepthook = sys.displayhook, sys.excepthook
    shell = InteractiveShell.instance()
    monkeypatch.setattr(shell.history_manager, "enabled", False)
    yield shell
    InteractiveShell.clear_instance()
    sys.displayhook, sys.excepthook = hook, excepthook


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_all_cells_run(page, folder, shell):
    cells = [c for c in nbformat.read(page, as_version=4).cells if c.cell_type == "code"]
    (settings,) = [c for c in cells if "settings" in c.metadata.get("tags", ())]
    settings.source = SMALL[page.stem]
    for cell in cells:
        shell.run_cell(cell.source).raise_error()


def test_every_notebook_is_run():
    assert {page.stem for page in PAGES} == SMALL.keys()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_its_outputs_are_stored_whole_and_small(page):
    notebook = nbformat.read(page, as_version=4)
    nbformat.validate(notebook)
    assert page.stat().st_size < 600_000
    outputs = [out for c in notebook.cells if c.cell_type == "code" for out in c.outputs]
    assert not [out for out in outputs if out.output_type == "error"]
    pictures = [out.data["image/png"] for out in outputs if "image/png" in out.get("data", {})]
    assert pictures
    for picture in pictures:
        Image.open(io.BytesIO(base64.b64decode(picture))).load()
    text = page.read_text(encoding="utf-8")
    assert str(Path.home()) not in text
    assert sys.prefix not in text
    assert "/tmp" not in text
    assert "\\u001b" not in text
