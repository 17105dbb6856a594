"""A tiled prediction killed at any moment and started again gives the same bytes."""

import subprocess
import sys
import time

import pytest
from tests.inference.large.made import network, picture, written

from lookwider.weights import save


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed")
    run = save(network("pspnet"), folder / "run" / "best").parent
    image = written(folder / "a.tif", picture(230, 270))
    code = "from lookwider.cli import main; main()"
    return [sys.executable, "-c", code, "predict", str(run), str(image), "--tile", "48", "--out"]


def killed_after(command, out, files):
    """Kill a prediction as soon as so many files are in its work folder."""
    process = subprocess.Popen([*command, out], stderr=subprocess.DEVNULL)
    while process.poll() is None and len(list(out.rglob(".a.tiles/**/0*"))) < files:
        time.sleep(0.02)
    process.kill()
    process.wait()


@pytest.mark.slow
def test_killed_three_times_the_bytes_are_the_same(command, tmp_path):
    subprocess.run([*command, tmp_path / "whole"], check=True, capture_output=True)
    out = tmp_path / "out"
    for files in (1, 20, 40):
        killed_after(command, out, files)
        assert sorted(path.name for path in out.iterdir()) == [".a.tiles", ".a.tiles.lock"]
    done = subprocess.run([*command, out], check=True, capture_output=True, text=True)
    assert "finished before" in done.stderr
    assert sorted(path.name for path in out.iterdir()) == ["a.tif", "a_overlay.jpg"]
    for name in ("a.tif", "a_overlay.jpg"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
