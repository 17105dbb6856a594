"""How fast the machine is: a small network timed and compared with plain PyTorch, and bfloat16."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lookwider.bench.network import DEMO, network_to_measure
from lookwider.bench.timing import interleaved, wait_for_gpu
from lookwider.environment.findings import Finding
from lookwider.kernels.switches import without

SIZE = (96, 128)
"""Of the image: as the demo's scenes."""

ROUNDS = 5

TOLERANCE = 1e-3
"""Largest difference of the fast paths from plain PyTorch, relative to the largest score."""

FASTER = 1.2
"""Times faster from which bfloat16 is worth its rounding."""


@dataclass(frozen=True)
class Speed:
    """What was measured.

    Attributes:
        forward: seconds of one image through the demo's PSPNet, in float32.
        difference: of its scores from plain PyTorch's, relative to the largest.
        bfloat16: times that convolutions in bfloat16 are faster than in float32.
    """

    forward: float
    difference: float
    bfloat16: float


def measure_speed(device: torch.device) -> Speed:
    """Time the demo's PSPNet from image to labels, and convolutions in both precisions."""
    model = network_to_measure(None, device=device)
    image = torch.randn(1, 3, *SIZE, generator=torch.Generator().manual_seed(0)).to(device)
    fast = model.compile_for_inference()

    def segment() -> Tensor:
        labels = fast.scores(image)["main"].labels()
        wait_for_gpu()
        return labels

    with torch.inference_mode():
        found = fast.scores(image)["main"].logits()
        with without():
            expected = model.scores(image)["main"].logits()
        timing = interleaved({"forward": segment}, ROUNDS)["forward"]
    worst = (found - expected).abs().max() / expected.abs().max()
    return Speed(timing.median, float(worst), _bfloat16_ratio(device))


def speed_findings(speed: Speed, device: torch.device) -> list[Finding]:
    """Return what a measurement means."""
    name, trunk, _ = DEMO
    what = f"{name} on {trunk}, {SIZE[0]} x {SIZE[1]}: {1000 * speed.forward:.1f} ms on {device}"
    if not speed.difference <= TOLERANCE:
        found = f"{what}; its scores differ by {speed.difference:.1e} from plain PyTorch's"
        advice = "pip install --upgrade torch; if it stays: export LOOKWIDER_WITHOUT=all"
        forward = Finding("a network", found, "broken", advice)
    else:
        forward = Finding("a network", f"{what}; {speed.difference:.0e} from plain PyTorch")
    ratio = f"{speed.bfloat16:.1f} times as fast as float32"
    if speed.bfloat16 >= FASTER:
        advice = "predict, evaluate and train faster with --dtype bfloat16 and precision=bf16-mixed"
        return [forward, Finding("bfloat16", ratio, "good", advice)]
    return [forward, Finding("bfloat16", f"{ratio}: stay with float32, the default")]


def _bfloat16_ratio(device: torch.device) -> float:
    """Return how many times faster a convolution of a trunk's middle is in bfloat16."""
    layers, images = {}, {}
    for dtype in (torch.float32, torch.bfloat16):
        layer = nn.Conv2d(128, 128, 3, padding=1, device=device, dtype=dtype)
        layers[dtype] = layer.to(memory_format=torch.channels_last)
        image = torch.ones(1, 128, 48, 64, device=device, dtype=dtype)
        images[dtype] = image.to(memory_format=torch.channels_last)

    def run(dtype: torch.dtype) -> None:
        layers[dtype](images[dtype])
        wait_for_gpu()

    with torch.inference_mode():
        timings = interleaved(
            {
                "float32": lambda: run(torch.float32),
                "bfloat16": lambda: run(torch.bfloat16),
            },
            ROUNDS,
        )
    return timings["float32"].median / timings["bfloat16"].median
