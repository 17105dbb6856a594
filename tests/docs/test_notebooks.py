"""The notebooks run from their first cell to the last, with small numbers in the settings."""

import asyncio
import base64
import io
import sys
from pathlib import Path

import nbformat
import pytest
import torch
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
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


async def run_all(folder):
    """Run all in one kernel, which takes seconds to import PyTorch; return what failed."""
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(nbformat.v4.new_notebook(), timeout=120, resources=resources)
    failed = {}
    async with client.async_setup_kernel():
        for page in PAGES:
            client.nb = nbformat.read(page, as_version=4)
            client.reset_execution_trackers()
            (settings,) = [c for c in client.nb.cells if "settings" in c.metadata.get("tags", ())]
            settings.source = SMALL[page.stem]
            try:
                for index, cell in enumerate(client.nb.cells):
                    await client.async_execute_cell(cell, index)
            except CellExecutionError as error:
                failed[page.stem] = str(error)
    return failed


def test_all_run(tmp_path):
    torch.manual_seed(0)
    model = lw.create_model("parsenet", backbone="test_resnet", output_stride=32, num_classes=21)
    lw.save(model, tmp_path / "run")
    assert {page.stem for page in PAGES} == SMALL.keys()
    assert asyncio.run(run_all(tmp_path)) == {}


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
