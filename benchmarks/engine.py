"""Whole networks compiled for inference, against the networks as PyTorch runs them.

Both sides have weights and images of the same type and an allocator that keeps what is freed.

python benchmarks/engine.py --out engine.json --rounds 5
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from lookwider import Segmenter, create_model
from lookwider.bench.memory import keeping_freed_memory
from lookwider.kernels.switches import without
from timing import Row, interleaved, save_rows

NETWORKS = {
    "PSPNet-50": ("pspnet", {"num_classes": 150}, (473, 473), 1.5),
    "ParseNet": ("parsenet", {"num_classes": 21}, (512, 512), 1.3),
    "VGG16 FCN-8s": ("fcn8s", {"num_classes": 21, "zero_scores": False}, (512, 512), 1.3),
    "ResNet-18 PSPNet": ("pspnet", {"num_classes": 21, "backbone": "resnet18"}, (256, 256), None),
}
"""Network, its options, the image's size, and the ratio to reach."""


def main() -> None:
    """Measure the networks that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    rows = []
    with keeping_freed_memory():
        for name in given.networks:
            for row in measured(name, getattr(torch, given.dtype), given.rounds):
                print(
                    f"{row.work}, {row.dtype}: {row.seconds[0]:.3f} s -> {row.seconds[1]:.3f} s, "
                    f"{row.ratio[0]:.2f} ({row.ratio[1]:.2f} to {row.ratio[2]:.2f}) x, "
                    f"difference {row.difference:.1e}"
                )
                rows.append(row)
    if given.out:
        save_rows(rows, given.out)


def measured(name: str, dtype: torch.dtype, rounds: int) -> list[Row]:
    """Compare coarse scores: PyTorch's channels-last form, and with and without Winograd."""
    model, options, size, wanted = NETWORKS[name]
    torch.manual_seed(0)
    network = create_model(model, **options).eval()
    images = torch.randn(1, 3, *size)
    compiled = {"direct": network.compile_for_inference(dtype, winograd=False)}
    if dtype == torch.float32:
        compiled["Winograd"] = network.compile_for_inference(dtype)
    plain = network.to(dtype).to(memory_format=torch.channels_last)

    def all_off() -> Tensor:
        with without():
            return scores(plain, images.to(dtype, memory_format=torch.channels_last))

    candidates: dict[str, Callable[[], Tensor]] = {"plain": all_off}
    for form, fast in compiled.items():
        candidates[form] = lambda fast=fast: scores(fast, images)
    timings = interleaved(candidates, rounds, warmup=2)
    exact = all_off().float()
    kind = str(dtype).removeprefix("torch.")
    return [
        Row(
            work=f"{name}, {size[0]} x {size[1]}, coarse scores, {form}",
            dtype=kind,
            plain="the same network, every fast path off, channels-last",
            ratio=timings[form].ratio(timings["plain"]),
            seconds=(timings["plain"].median, timings[form].median),
            wanted=2.0 if (form, name) == ("Winograd", "PSPNet-50") else wanted,
            difference=float((candidates[form]() - exact).abs().max() / exact.abs().max()),
        )
        for form in compiled
    ]


def scores(network: nn.Module, images: Tensor) -> Tensor:
    """Return the coarse scores of the main head."""
    assert isinstance(network, Segmenter)
    with torch.inference_mode():
        return next(iter(network.scores(images).values())).scores


if __name__ == "__main__":
    main()
