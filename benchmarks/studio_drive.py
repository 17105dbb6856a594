"""Drive the studio in a headless Chromium as a user would, and write what it looks like.

Needs the browser (``chromium`` in the PATH) and ``pip install playwright axe-playwright-python``.
Fails when the page logs an error, asks another machine for anything, or axe finds what is serious.

    python benchmarks/studio_drive.py --runs RUNS --out PICTURES
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from lookwider.data.scenes import SCENE_CLASSES, scene
from lookwider.models import create_model
from lookwider.web.app import create_app
from lookwider.web.models import ServedModels
from lookwider.web.settings import ServiceSettings
from lookwider.weights import save

PATIENCE = 240_000
"""Milliseconds that the slowest step may take."""

SIZES = {"wide": (1440, 900), "narrow": (390, 844), "dark": (1440, 900)}


@contextmanager
def served(runs: Path) -> Iterator[str]:
    """Serve runs on a free port; yield the address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = ServiceSettings(port=port)
    app = create_app(ServedModels.open(runs, "cpu"), settings, studio=True)
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.1)
    yield f"http://127.0.0.1:{port}/"
    server.should_exit = True
    thread.join()


class Watched:
    """A page that keeps what it should not do."""

    def __init__(self, browser: Browser, address: str, *, size: str) -> None:
        width, height = SIZES[size]
        scheme = "dark" if size == "dark" else "light"
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme
        )
        self.page = context.new_page()
        self.errors: list[str] = []
        self.elsewhere: list[str] = []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self._asked(request.url, address))
        self.page.goto(address)
        self.page.get_by_role("heading", name="lookwider studio").wait_for(timeout=PATIENCE)

    def _heard(self, message: object) -> None:
        if getattr(message, "type", "") in ("error", "warning"):
            self.errors.append(getattr(message, "text", ""))

    def _asked(self, url: str, address: str) -> None:
        if not url.startswith((address, "data:", "blob:" + address)):
            self.elsewhere.append(url)


def settled(page: Page) -> None:
    """Wait until nothing is computed any more."""
    page.wait_for_timeout(400)
    expect(page.locator(".lw")).to_have_attribute("aria-busy", "false", timeout=PATIENCE)
    page.wait_for_timeout(300)


def serious(page: Page) -> list[str]:
    """Return what axe finds serious."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']} ({one['impact']}): {one['nodes'][0]['html'][:200]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


def drive(page: Page, out: Path, image: Path, name: str) -> dict[str, object]:
    """Upload, toggle, compare, click, swap, cancel, download; return what was seen."""
    seen: dict[str, object] = {}
    page.screenshot(path=out / f"{name}-empty.png", full_page=True)
    page.locator("[data-file=image]").set_input_files(image)
    expect(page.locator(".lw-stage")).to_have_count(1, timeout=PATIENCE)
    settled(page)
    page.screenshot(path=out / f"{name}-uploaded.png", full_page=True)
    page.get_by_role("group", name="or try").get_by_role("button", name="lake", exact=True).click()
    settled(page)
    boxes = page.locator("[data-legend] input")
    before = painted(page)
    boxes.first.uncheck()
    seen["toggle"] = [before, painted(page)]
    assert painted(page) < before
    boxes.first.check()
    page.locator("[data-opacity]").fill("70")
    against = page.locator("[data-against]")
    rivals = against.locator("optgroup option")
    if rivals.count():
        against.select_option(rivals.first.get_attribute("value"))
        expect(page.locator(".lw-stage")).to_have_count(2, timeout=PATIENCE)
        settled(page)
        seen["difference"] = page.locator("[data-difference]").inner_text()
        page.screenshot(path=out / f"{name}-compare.png", full_page=True)
    models = page.locator("[data-model] option")
    with_context = [m.inner_text() for m in models.all() if not m.inner_text().startswith("fcn")]
    page.locator("[data-model]").select_option(with_context[0])
    settled(page)
    against.select_option("zeros")
    settled(page)
    seen["without context"] = page.locator("[data-difference]").inner_text()
    against.select_option("other")
    page.locator("[data-samples=other] button").nth(1).click()
    settled(page)
    seen["swapped"] = page.locator("[data-difference]").inner_text()
    page.screenshot(path=out / f"{name}-swap.png", full_page=True)
    stage = page.locator(".lw-stage").first
    box = stage.bounding_box()
    assert box is not None
    stage.click(position={"x": box["width"] * 0.45, "y": box["height"] * 0.7})
    page.locator("[data-stop]").wait_for(timeout=PATIENCE)
    page.screenshot(path=out / f"{name}-measuring.png", full_page=True)
    page.get_by_role("button", name="Field shown").wait_for(timeout=PATIENCE)
    settled(page)
    seen["field"] = page.locator("[data-spot-body]").inner_text()
    page.screenshot(path=out / f"{name}-field.png", full_page=True)
    stage.focus()
    page.keyboard.press("ArrowLeft")
    seen["keys"] = page.locator("[data-live]").inner_text()
    against.select_option("nothing")
    settled(page)
    page.get_by_role("group", name="or try").get_by_role("button", name="large", exact=True).click()
    page.get_by_text("tile").first.wait_for(timeout=PATIENCE)
    page.screenshot(path=out / f"{name}-tiles.png", full_page=True)
    page.locator("[data-stop]").click()
    settled(page)
    seen["stopped"] = page.locator("[data-live]").inner_text()
    page.get_by_role("group", name="or try").get_by_role("button", name="road", exact=True).click()
    settled(page)
    for words in ("Labels PNG", "Overlay PNG", "Figures JSON"):
        with page.expect_download() as download:
            page.get_by_role("link", name=words).first.click()
        target = out / f"{name}-{download.value.suggested_filename}"
        download.value.save_as(target)
        seen[words] = target.name
        if target.suffix == ".png":
            seen[words] = [target.name, list(np.asarray(Image.open(target)).shape)]
    with tempfile.TemporaryDirectory() as folder:
        damaged = Path(folder) / "damaged.png"
        damaged.write_bytes(image.read_bytes()[: image.stat().st_size // 2])
        page.locator("[data-file=image]").set_input_files(damaged)
        page.locator("[data-error]").wait_for(timeout=PATIENCE)
    seen["damaged"] = page.locator("[data-error]").inner_text()
    page.screenshot(path=out / f"{name}-damaged.png", full_page=True)
    return seen


def painted(page: Page) -> int:
    """Return how many pixels of the first picture have a label laid over."""
    script = """() => {
      const shown = document.querySelector(".lw-labels");
      const canvas = new OffscreenCanvas(shown.width, shown.height);
      const context = canvas.getContext("2d");
      context.drawImage(shown, 0, 0);
      const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
      let count = 0;
      for (let i = 3; i < data.length; i += 4) count += data[i] > 0;
      return count;
    }"""
    return int(page.evaluate(script))


def save_runs(folder: Path) -> Path:
    """Write two small networks with random weights; what they see means nothing."""
    for name, options in (("fcn8s", {}), ("pspnet", {"output_stride": 32, "hidden": 16})):
        model = create_model(name, backbone="test_resnet", classes=SCENE_CLASSES, **options)
        save(model.eval(), folder / name / "best")
    return folder


def main() -> None:
    """Drive the page in all sizes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=Path, help="folder of runs; small ones are made if none")
    parser.add_argument("--out", type=Path, default=Path("studio"), help="where pictures go")
    parser.add_argument("--image", type=Path, help="that is uploaded; a scene if none")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        runs = given.runs or save_runs(Path(folder))
        image = given.image or Path(folder) / "street.png"
        if given.image is None:
            Image.fromarray(scene(2, 1, kind="street").image).save(image)
        wrong = driven(runs, given.out, image, given.sizes)
    print("\n".join(wrong) or "no errors, no requests elsewhere, nothing serious by axe")
    sys.exit(bool(wrong))


def driven(runs: Path, out: Path, image: Path, sizes: list[str]) -> list[str]:
    """Drive the page in some sizes; return what was wrong."""
    wrong: list[str] = []
    with served(runs) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for size in sizes:
            watched = Watched(browser, address, size=size)
            wrong += serious(watched.page)
            seen = drive(watched.page, out, image, size)
            wrong += serious(watched.page)
            print(size, json.dumps(seen, indent=1, ensure_ascii=False))
            wrong += [f"logged: {words}" for words in watched.errors]
            wrong += [f"asked elsewhere: {url}" for url in watched.elsewhere]
        browser.close()
    return wrong


if __name__ == "__main__":
    main()
