"""Whole networks, preprocessed image to labels, against plain PyTorch with the same weights.

The plain networks are those of `benchmarks/plain`, channels last, in the same precision. Both
sides run with an allocator that keeps freed memory, which helps the plain side most;
``--allocator usual`` leaves it as it is. The extra memory is the peak of the resident memory over
what was there before.

    python benchmarks/networks.py --out results/networks.json
    python benchmarks/networks.py --only fcn8s parsenet --rounds 5
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from lookwider import Segmenter
from lookwider.bench.forms import fast_dtype
from lookwider.bench.memory import extra_memory, keeping_freed_memory
from plain.counterpart import counterparts
from timing import Row, interleaved, save_rows


@dataclass(frozen=True)
class Case:
    """A network and what it is given.

    Attributes:
        model: a name of `plain.counterpart.NETWORKS`.
        title: in words.
        num_classes: classes.
        size: (height, width) of the image.
        wanted: ratios to reach: direct convolutions in float32, Winograd's, bfloat16.
    """

    model: str
    title: str
    num_classes: int
    size: tuple[int, int]
    wanted: tuple[float, float, float]


CASES = {
    "pspnet": Case("pspnet", "PSPNet-50", 150, (473, 473), (1.5, 2.0, 3.0)),
    "fcn8s": Case("fcn8s", "FCN-8s on VGG16", 21, (500, 500), (1.3, 1.3, 1.3)),
    "parsenet": Case("parsenet", "ParseNet on VGG16", 21, (512, 512), (1.3, 1.3, 1.3)),
    "cityscapes": Case("pspnet", "PSPNet-50", 19, (1025, 2049), (1.5, 2.0, 3.0)),
}
"""The rows of the table; at the size of Cityscapes only bfloat16 has a ratio of its own to reach,
float32 that of the smaller size."""


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtype", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument("--allocator", choices=("tuned", "usual"), default="tuned")
    parser.add_argument("--size", type=int, nargs=2, help="another size, for a quick look")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    dtypes = {torch.float32, fast_dtype(options.dtype, torch.device("cpu"))}
    if options.dtype == "bfloat16":
        dtypes = {torch.bfloat16}
    allocator = keeping_freed_memory() if options.allocator == "tuned" else nullcontext()
    rows: list[Row] = []
    with allocator, torch.inference_mode():
        for name in options.only:
            for dtype in sorted(dtypes, key=str):
                for row in compare(CASES[name], dtype, options.rounds, options.size):
                    rows.append(row)
                    show(row)
                    if options.out:
                        save_rows(rows, options.out)


def compare(
    case: Case, dtype: torch.dtype, rounds: int, size: tuple[int, int] | None = None
) -> Iterator[Row]:
    """Yield a row for direct convolutions, and in float32 one for Winograd's."""
    height, width = size or case.size
    model, plain = counterparts(case.model, case.num_classes)
    plain = copy.deepcopy(plain).to(dtype).to(memory_format=torch.channels_last)
    torch.manual_seed(1)
    images = torch.randn(1, 3, height, width)
    fast = {"direct": model.compile_for_inference(dtype=dtype, winograd=False)}
    if dtype == torch.float32:
        fast["Winograd"] = model.compile_for_inference(dtype=dtype)
    runs: dict[str, Callable[[], Tensor]] = {"plain": lambda: plain_labels(plain, images, dtype)}
    runs |= {name: labels_of(network, images) for name, network in fast.items()}
    timings = interleaved(runs, rounds)
    memory = {name: extra_memory(run) for name, run in runs.items()}
    logits, labels = plain_logits(plain, images, dtype), runs["plain"]()
    for (name, network), wanted in zip(fast.items(), wanted_ratios(case, dtype), strict=True):
        difference = (network(images).float() - logits).abs().max() / logits.abs().max()
        held = memory["plain"], memory[name]
        yield Row(
            work=f"{case.title}, {case.num_classes} classes, {height} x {width}, image to labels"
            + (", Winograd" if name == "Winograd" else ""),
            dtype=str(dtype).removeprefix("torch."),
            plain="plain PyTorch, channels last",
            ratio=timings[name].ratio(timings["plain"]),
            seconds=(timings["plain"].median, timings[name].median),
            wanted=wanted,
            difference=difference.item(),
            agreement=(runs[name]() == labels).double().mean().item(),
            memory_mib=None if held[0] is None or held[1] is None else (held[0], held[1]),
        )


def wanted_ratios(case: Case, dtype: torch.dtype) -> tuple[float, ...]:
    """Return the ratios to reach, in the order of what is compared."""
    return case.wanted[:2] if dtype == torch.float32 else case.wanted[2:]


def plain_logits(plain: nn.Module, images: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the plain network's logits, in float32."""
    return plain(images.to(dtype, memory_format=torch.channels_last)).float()


def plain_labels(plain: nn.Module, images: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the plain network's labels."""
    return plain(images.to(dtype, memory_format=torch.channels_last)).argmax(1).to(torch.uint8)


def labels_of(network: Segmenter, images: Tensor) -> Callable[[], Tensor]:
    """Return what computes lookwider's labels."""
    return lambda: next(iter(network.scores(images).values())).labels()


def show(row: Row) -> None:
    """Print a comparison."""
    middle, least, most = row.ratio
    spread = f"{least:.2f} to {most:.2f}" + (f", wanted {row.wanted:g}" if row.wanted else "")
    parts = [f"{row.seconds[0]:.3f} -> {row.seconds[1]:.3f} s", f"{middle:.2f} x ({spread})"]
    if row.memory_mib:
        parts.append(f"extra memory {row.memory_mib[0]:.0f} -> {row.memory_mib[1]:.0f} MiB")
    if row.difference is not None:
        parts.append(f"difference {row.difference:.1e}")
    if row.agreement is not None:
        parts.append(f"{100 * row.agreement:.4g} % equal labels")
    print(f"{row.work}, {row.dtype}, against {row.plain}: {', '.join(parts)}", flush=True)


if __name__ == "__main__":
    main()
