"""A real server in a thread of the tests, with tiny networks."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import numpy as np
import torch
import uvicorn
from PIL import Image

from lookwider.classes import Classes
from lookwider.models import create_model
from lookwider.web.app import create_app
from lookwider.web.models import ServedModels
from lookwider.web.server import listen
from lookwider.web.service import Service
from lookwider.web.settings import ServiceSettings
from lookwider.weights import save

CLASSES = Classes.named(["sky", "sea", "boat"])


def save_runs(folder):
    """Write two runs: ``plain`` without context, and ``wide`` with."""
    wide = {"output_stride": 32, "hidden": 16}
    for name, architecture, options, seed in (
        ("plain", "fcn32s", {"zero_scores": False}, 0),
        ("wide", "pspnet", wide, 11),
    ):
        torch.manual_seed(seed)  # of those whose answers have several classes
        model = create_model(architecture, backbone="test_resnet", classes=CLASSES, **options)
        save(model.eval(), folder / name / "best", scores={"split": "val", "val_mean_iou": 0.5})
    return folder


def picture(height, width, seed=0):
    """Return a picture of blobs, (H, W, 3)."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (height // 8 + 2, width // 8 + 2, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def encoded(pixels, format="PNG", **options):
    """Return the bytes of an image file."""
    buffer = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(buffer, format=format, **options)
    return buffer.getvalue()


class Running:
    """A server that runs: its client, its service, its port."""

    def __init__(self, service: Service, models: ServedModels, port: int) -> None:
        self.service, self.models, self.port = service, models, port
        self.url = f"http://127.0.0.1:{port}"
        self.client = httpx.Client(base_url=self.url, timeout=30, trust_env=False)

    def segment(self, content, **query):
        """Send an image as the body."""
        return self.client.post("/v1/segment", params=query, content=content)

    def until(self, condition):
        """Wait until something is so."""
        end = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < end, "waited too long"
            time.sleep(0.005)


@contextmanager
def running(models: ServedModels, *, studio: bool = False, **settings) -> Iterator[Running]:
    """Serve in a thread until the block ends."""
    chosen = ServiceSettings(port=0, **settings)
    app = create_app(models, chosen, studio=studio)
    config = uvicorn.Config(
        app, log_config=None, log_level="critical", server_header=False, ws="none"
    )
    server = uvicorn.Server(config)
    listener = listen(chosen)
    port = listener.getsockname()[1]
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    found = Running(app.state.service, models, port)
    try:
        found.until(lambda: server.started and found.service.settled)
        yield found
    finally:
        found.client.close()
        server.should_exit = True
        thread.join()
