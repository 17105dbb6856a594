"""What `lookwider serve` holds out: load, hostile requests, being killed.

    python -m benchmarks.service_load RUN                 # all three parts
    python -m benchmarks.service_load RUN --part load --clients 32 --seconds 60
    python -m benchmarks.service_load RUN --part hostile --requests 1000
    python -m benchmarks.service_load RUN --part killed --kills 3

Every answer 200 is compared with the labels that the network gives in this process. *load*: so
many clients send images of mixed sizes, one after the other without a pause, and come back when a
429 says so. *hostile*: files that are none or damaged, broken forms, clients that leave; honest
images in between. *killed*: the server is killed (SIGKILL) and started again while clients send.
The figures are printed, and written as JSON with --out.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image
from tests.web.hostile import damaged, not_images, odd_but_good
from tests.web.served import encoded, picture

from lookwider.bench.machine import processor
from lookwider.web.models import ServedModels

SIZES = (
    (96, 128),
    (120, 160),
    (180, 240),
    (240, 320),
    (360, 480),
    (300, 200),
    (33, 517),
    (480, 640),
)
"""Of the images, (height, width)."""

LEAVING = 0.15
"""Share of the hostile part's clients that leave before their answer."""


@dataclass(frozen=True)
class Known:
    """An image, and the answer to it."""

    content: bytes
    labels: np.ndarray[Any, np.dtype[np.uint8]]


@dataclass
class Seen:
    """What clients saw.

    Attributes:
        statuses: how often each status came; "left" and "broken" where none did.
        seconds: of the answers 200.
        pixels: of the same.
        differing: the largest share of pixels of one of them that are not as expected.
    """

    statuses: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    pixels: int = 0
    differing: float = 0.0

    def check(self, answer: httpx.Response, known: Known, seconds: float) -> None:
        """Count an answer, and compare its labels."""
        self.statuses[str(answer.status_code)] += 1
        if answer.status_code != 200:
            return
        with Image.open(io.BytesIO(answer.content)) as image:
            found = np.asarray(image)
        self.seconds.append(seconds)
        self.pixels += found.size
        self.differing = max(self.differing, float((found != known.labels).mean()))


class Server:
    """A process of `lookwider serve`."""

    def __init__(self, run: Path, port: int = 0) -> None:
        command = [sys.executable, "-m", "lookwider", "serve", str(run), "--no-studio", "--json"]
        self.process = subprocess.Popen(
            [*command, "--port", str(port)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self.process.stdout is not None
        self.address = json.loads(self.process.stdout.readline())["address"]

    @property
    def port(self) -> int:
        """Of its address."""
        return int(self.address.rpartition(":")[2])

    def memory(self) -> float:
        """Return the megabytes that it holds."""
        text = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        line = next(line for line in text.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024

    def end(self, number: int = signal.SIGINT) -> int:
        """Send a signal, and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=120)


def known_images(run: Path) -> list[Known]:
    """Return images of mixed sizes with the labels that the network gives alone."""
    model = ServedModels.open(run, "cpu").default.fast()
    images = [picture(*size, seed) for seed, size in enumerate(SIZES)]
    return [Known(encoded(image), model.predict(image).labels) for image in images]


async def send(client: httpx.AsyncClient, known: Known, seen: Seen) -> float:
    """Send one image; return the seconds to wait before the next."""
    start = time.perf_counter()
    try:
        answer = await client.post("/v1/segment?format=png", content=known.content)
    except httpx.TransportError:
        seen.statuses["broken"] += 1
        return 0.2
    seen.check(answer, known, time.perf_counter() - start)
    return float(answer.headers.get("retry-after", 0))


async def honest(address: str, images: list[Known], until: float, seen: Seen, seed: int) -> None:
    """Send images until a time."""
    draw = random.Random(seed)
    async with httpx.AsyncClient(base_url=address, timeout=120, trust_env=False) as client:
        while time.monotonic() < until:
            await asyncio.sleep(await send(client, draw.choice(images), seen))


async def under_load(server: Server, images: list[Known], clients: int, seconds: float) -> Any:
    """Send from many clients at once, and look at the server's memory every half second."""
    seen, memory = Seen(), []
    start = time.monotonic()
    until = start + seconds
    sending = [
        asyncio.create_task(honest(server.address, images, until, seen, seed))
        for seed in range(clients)
    ]
    while not all(task.done() for task in sending):
        memory.append(server.memory())
        await asyncio.sleep(0.5)
    await asyncio.gather(*sending)
    took = time.monotonic() - start
    third = max(1, len(memory) // 3)
    quantiles = statistics.quantiles(seen.seconds, n=100)
    return figures(seen) | {
        "clients": clients,
        "seconds": round(took, 1),
        "images_a_second": round(len(seen.seconds) / took, 2),
        "megapixels_a_second": round(seen.pixels / took / 1e6, 3),
        "p50": round(quantiles[49], 3),
        "p99": round(quantiles[98], 3),
        "memory_mb": {
            "middle third": round(statistics.mean(memory[third : 2 * third] or memory)),
            "last third": round(statistics.mean(memory[-third:])),
            "most": round(max(memory)),
        },
    }


async def under_attack(server: Server, images: list[Known], requests: int) -> Any:
    """Send what no honest client does, with honest images in between."""
    draw, seen, good = random.Random(0), Seen(), Seen()
    corpus = [*not_images().values(), *damaged().values(), *odd_but_good().values()]
    limit = asyncio.Semaphore(8)

    async def attack(client: httpx.AsyncClient) -> None:
        content = bytearray(draw.choice(corpus))
        if content and draw.random() < 0.5:  # damaged once more
            for _ in range(draw.randint(1, 8)):
                content[draw.randrange(len(content))] = draw.randrange(256)
        kind = draw.choice(["image/png", "multipart/form-data; boundary=b", "text/html"])
        async with limit:
            try:
                async with asyncio.timeout(0.002 if draw.random() < LEAVING else 120):
                    answer = await client.post(
                        f"/v1/segment?format={draw.choice(['png', 'json', 'overlay', 'x'])}",
                        content=bytes(content),
                        headers={"Content-Type": kind},
                    )
                seen.statuses[str(answer.status_code)] += 1
            except TimeoutError:
                seen.statuses["left"] += 1
            except httpx.TransportError:
                seen.statuses["broken"] += 1

    memory = [server.memory()]
    async with httpx.AsyncClient(base_url=server.address, timeout=120, trust_env=False) as client:
        for number in range(0, requests, 50):
            await asyncio.gather(*(attack(client) for _ in range(min(50, requests - number))))
            await send(client, images[number // 50 % len(images)], good)
            memory.append(server.memory())
        text = (await client.get("/metrics")).text
    return {
        "requests": requests,
        "statuses": dict(seen.statuses),
        "honest": figures(good),
        "internal errors": text.count('status="500"'),
        "alive": server.process.poll() is None,
        "memory_mb": {
            "before": round(memory[0]),
            "half way": round(memory[len(memory) // 2]),
            "after": round(memory[-1]),
        },
    }


async def while_killed(run: Path, images: list[Known], clients: int, kills: int) -> Any:
    """Kill the server again and again while clients send; start it anew on the same port."""
    server, seen = Server(run), Seen()
    port, ended = server.port, asyncio.Event()

    async def client_of(seed: int) -> None:
        draw = random.Random(seed)
        while not ended.is_set():
            async with httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{port}", timeout=120, trust_env=False
            ) as client:
                await asyncio.sleep(await send(client, draw.choice(images), seen))

    sending = [asyncio.create_task(client_of(seed)) for seed in range(clients)]
    for _ in range(kills):
        await asyncio.sleep(4)
        server.end(signal.SIGKILL)
        server = await asyncio.to_thread(Server, run, port)
    await asyncio.sleep(4)
    ended.set()
    await asyncio.gather(*sending)
    return figures(seen) | {"kills": kills, "exit code of Ctrl-C": server.end()}


def figures(seen: Seen) -> dict[str, Any]:
    """Return the counts, and how many pixels of the answers were wrong."""
    return {"statuses": dict(seen.statuses), "differing": seen.differing}


def main() -> None:
    """Run the parts and print their figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--part", choices=["load", "hostile", "killed"])
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    images = known_images(options.run)
    found: dict[str, Any] = {"processor": processor(), "cores": os.cpu_count()}
    if options.part in (None, "load", "hostile"):
        server = Server(options.run)
        with contextlib.ExitStack() as stack:
            stack.callback(server.process.kill)
            if options.part != "hostile":
                work = under_load(server, images, options.clients, options.seconds)
                found["load"] = asyncio.run(work)
            if options.part != "load":
                found["hostile"] = asyncio.run(under_attack(server, images, options.requests))
            found["exit code of Ctrl-C"] = server.end()
    if options.part in (None, "killed"):
        work = while_killed(options.run, images, options.clients, options.kills)
        found["killed"] = asyncio.run(work)
    print(json.dumps(found, indent=1))
    if options.out is not None:
        options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
