"""Labels and loss on a GPU: the kernels, and upsampling everything in plain PyTorch.

    python benchmarks/gpu_kernels.py --out gpu_kernels.json

Needs a CUDA device. ``--graph`` replays both sides from CUDA graphs: what is left is the work of
the device, without the time that a launch takes. Memory is the most that a call holds beyond its
inputs. With ``TRITON_INTERPRET=1`` and ``--tiny`` it runs anywhere, to see that it runs: these
times mean nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from lookwider.kernels.gpu.labels import upsampled_labels
from lookwider.kernels.gpu.launch import interpreted
from lookwider.kernels.gpu.loss import upsampled_cross_entropy
from lookwider.layers.taps import Taps
from timing import Row, interleaved, save_rows

LABELS = ((1, 150, 473, 473), (1, 19, 1024, 2048), (1, 150, 1024, 2048))
LOSSES = ((2, 150, 473, 473), (8, 150, 473, 473), (8, 19, 713, 713), (16, 21, 500, 500))
DTYPES = (torch.float32, torch.bfloat16)
STRIDE = 8

Work = Callable[[], Tensor]


def main() -> None:
    """Compare, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--graph", action="store_true", help="replay from CUDA graphs")
    parser.add_argument("--tiny", action="store_true", help="see that it runs")
    options = parser.parse_args()
    if not (torch.cuda.is_available() or (interpreted() and options.tiny)):
        print("nothing measured: no CUDA device (to see that it runs: TRITON_INTERPRET=1, --tiny)")
        return
    device = torch.device("cpu" if interpreted() else "cuda")
    rows = []
    for compare, shapes in ((label_row, LABELS), (loss_row, LOSSES)):
        for shape in [(1, 3, 17, 17)] if options.tiny else shapes:
            for dtype in DTYPES:
                rows.append(compare(shape, dtype, device, options))
                print(described(rows[-1]), flush=True)
    if options.out:
        save_rows(rows, options.out)


def label_row(
    shape: tuple[int, int, int, int],
    dtype: torch.dtype,
    device: torch.device,
    options: argparse.Namespace,
) -> Row:
    """Compare labels; a score map of white noise is as much work as any other."""
    scores, axes = inputs(shape, dtype, device)

    def plain() -> Tensor:
        full = functional.interpolate(scores.float(), shape[2:], mode="bilinear")
        return full.argmax(1).to(torch.uint8)

    def fast() -> Tensor:
        return upsampled_labels(scores, *axes, torch.uint8)

    return row("labels", shape, dtype, plain, fast, options)


def loss_row(
    shape: tuple[int, int, int, int],
    dtype: torch.dtype,
    device: torch.device,
    options: argparse.Namespace,
) -> Row:
    """Compare the loss and its gradient in the coarse scores."""
    scores, axes = inputs(shape, dtype, device)
    scores.requires_grad_()
    batch, num_classes, *size = shape
    labels = torch.randint(0, num_classes, (batch, *size), device=device)

    def plain() -> Tensor:
        full = functional.interpolate(scores.float(), size, mode="bilinear")
        return functional.cross_entropy(full, labels, reduction="sum")

    def fast() -> Tensor:
        return upsampled_cross_entropy(scores, *axes, labels)

    def gradient(loss: Work) -> Tensor:
        return torch.autograd.grad(loss(), scores)[0]

    work = "loss forward + backward"
    return row(work, shape, dtype, partial(gradient, plain), partial(gradient, fast), options)


def inputs(
    shape: tuple[int, int, int, int], dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, tuple[Taps, Taps]]:
    """Return channels-last scores at stride 8 and their taps."""
    torch.manual_seed(0)
    batch, num_classes, *size = shape
    grid = [-(-pixels // STRIDE) for pixels in size]
    scores = torch.randn(batch, num_classes, *grid, dtype=dtype, device=device)
    rows, cols = (Taps.half_pixel(n, pixels) for n, pixels in zip(grid, size, strict=True))
    return scores.contiguous(memory_format=torch.channels_last), (rows, cols)


def row(
    work: str,
    shape: tuple[int, int, int, int],
    dtype: torch.dtype,
    plain: Work,
    fast: Work,
    options: argparse.Namespace,
) -> Row:
    """Time both sides in turns, and compare what they return."""
    expected, actual = plain(), fast()  # compiles and chooses the launch
    memory = None if interpreted() else (extra_mib(plain), extra_mib(fast))
    if options.graph:
        plain, fast = captured(plain), captured(fast)
    timings = interleaved({"plain": plain, "fast": fast}, options.rounds)
    is_labels = not expected.dtype.is_floating_point
    largest = expected.abs().max().item()
    batch, num_classes, height, width = shape
    return Row(
        work=f"{work}, {num_classes} classes, batch {batch}, {height} x {width}",
        dtype=str(dtype).removeprefix("torch."),
        plain=f"interpolate + {'argmax' if is_labels else 'cross_entropy'} on {device_name()}",
        ratio=timings["fast"].ratio(timings["plain"]),
        seconds=(timings["plain"].median, timings["fast"].median),
        agreement=(expected == actual).float().mean().item() if is_labels else None,
        difference=None if is_labels else (expected - actual).abs().max().item() / largest,
        memory_mib=memory,
    )


def extra_mib(work: Work) -> float:
    """Return the most memory of the device that a call holds beyond what was held before."""
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    work()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def device_name() -> str:
    """Return what the kernels run on."""
    return "Triton's interpreter" if interpreted() else torch.cuda.get_device_name()


def captured(work: Work) -> Work:
    """Return the work as the replay of a CUDA graph."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = work()

    def replay() -> Tensor:
        graph.replay()
        return result

    return replay


def described(row: Row) -> str:
    """Return a line for the terminal."""
    ratio, least, most = row.ratio
    equal = f"{row.difference:.1e} off" if row.agreement is None else f"{row.agreement:.5f} equal"
    plain, fast = (1e3 * seconds for seconds in row.seconds)
    line = f"{row.work}, {row.dtype}: {plain:.3f} -> {fast:.3f} ms, {ratio:.1f}x "
    line += f"({least:.1f}-{most:.1f}), {equal}"
    if row.memory_mib:
        line += f", {row.memory_mib[0]:.0f} -> {row.memory_mib[1]:.0f} MiB"
    return line


if __name__ == "__main__":
    main()
