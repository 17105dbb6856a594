"""What a training step costs: as this package computes it, and as plain PyTorch does.

    python benchmarks/training_step.py --out step.json
    python benchmarks/training_step.py --backbone resnet18 --classes 21 --dtype bfloat16

Both sides are the same network in channels-last memory, with the same weights, images and
labels. The plain step concatenates the pyramid, upsamples the logits, and leaves every gradient
to PyTorch. Both have an allocator that keeps freed memory. Memory is the most that a process of
its own holds during its first step beyond what it held before: gradients, maps and the loss, not
the weights. With ``--convolutions``, the convolutions that are computed in another form are
compared one by one.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from lookwider.bench.memory import extra_memory, keeping_freed_memory
from lookwider.kernels.switches import without
from lookwider.kernels.training_convolutions import trained_conv2d, trained_convolutions
from lookwider.models import create_model
from lookwider.training.recomputing import recomputed_activations
from timing import Row, interleaved, save_rows

FORMS = ("plain", "fast", "recomputed")
CONVOLUTIONS = (
    *((256, 1024, 1), (1024, 256, 1), (512, 2048, 1), (2048, 512, 1), (64, 256, 1)),
    *((2048, 512, 3), (512, 512, 3)),
)
"""Input and output channels and kernel of layers of a ResNet-50, the second and last row of which
are left to PyTorch in float32."""


class Step:
    """A forward and backward pass of a PSPNet with its auxiliary loss."""

    def __init__(self, options: argparse.Namespace, form: str) -> None:
        torch.manual_seed(0)
        self.form = form
        self.dtype = getattr(torch, options.dtype)
        model = create_model(
            "pspnet", backbone=options.backbone, num_classes=options.classes, dropout=0.0
        )
        self.model = model.train().to(memory_format=torch.channels_last)
        size = (options.size, options.size)
        images = torch.randn(options.batch, 3, *size)
        images += 3 * functional.interpolate(torch.randn(options.batch, 3, 6, 6), size)
        self.images = images.contiguous(memory_format=torch.channels_last)
        self.labels = torch.randint(0, options.classes, (options.batch, *size))

    def __call__(self) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and the gradients."""
        self.model.zero_grad()
        with ExitStack() as stack:
            if self.form == "plain":
                stack.enter_context(without())
            else:
                stack.enter_context(trained_convolutions(self.model))
            if self.form == "recomputed":
                trunk = self.model.get_submodule("backbone")
                stack.enter_context(recomputed_activations(trunk))
            with torch.autocast("cpu", torch.bfloat16, enabled=self.dtype == torch.bfloat16):
                scores = self.model.scores(self.images)
                loss = self._loss(scores["main"]) + 0.4 * self._loss(scores["aux"])
            loss.backward()
        named = self.model.named_parameters()
        return loss.detach(), {name: p.grad for name, p in named if p.grad is not None}

    def _loss(self, scores) -> Tensor:
        if self.form == "plain":
            return functional.cross_entropy(scores.logits().float(), self.labels)
        return scores.cross_entropy(self.labels)


def memory_mib(options: argparse.Namespace, form: str) -> float:
    """Return the most extra memory of a step, in a process of its own."""
    command = [sys.executable, __file__, "--measure", form]
    for name in ("backbone", "classes", "size", "batch", "dtype", "threads"):
        command += [f"--{name}", str(getattr(options, name))]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def difference(plain: Step, fast: Step) -> float:
    """Return how far the gradients of all weights are apart, relative to their length.

    Batch norms spread a rounding over every gradient before them, so single small ones may differ
    by more.
    """
    (_, gradients), (_, own) = plain(), fast()
    apart = torch.stack([(gradients[name] - own[name]).double().norm() for name in gradients])
    length = torch.stack([gradient.double().norm() for gradient in gradients.values()])
    return float(apart.norm() / length.norm())


def whole_steps(options: argparse.Namespace) -> list[Row]:
    """Compare whole training steps: time, memory and gradients."""
    steps = {form: Step(options, form) for form in FORMS[: 3 if options.recomputed else 2]}
    apart = {form: difference(steps["plain"], step) for form, step in steps.items()}
    memory = {form: memory_mib(options, form) for form in steps}
    times = interleaved(steps, options.rounds, warmup=0)
    size = f"{options.size} x {options.size}, batch {options.batch}"
    work = f"training step, PSPNet on {options.backbone}, {options.classes} classes, {size}"
    kinds = {"fast": "", "recomputed": ", activations computed again"}
    return [
        Row(
            work=work + kinds[form],
            dtype=options.dtype,
            plain="interpolated logits, channels-last",
            ratio=times[form].ratio(times["plain"]),
            seconds=(times["plain"].median, times[form].median),
            wanted=1.8 if form == "fast" and options.dtype == "bfloat16" else None,
            difference=apart[form],
            memory_mib=(memory["plain"], memory[form]),
        )
        for form in steps
        if form != "plain"
    ]


def convolutions(options: argparse.Namespace) -> list[Row]:
    """Compare forward and backward passes of single convolutions at the trunk's last stride."""
    rows = []
    side = -(-options.size // 8)
    dtype = getattr(torch, options.dtype)
    for channels, outputs, kernel in CONVOLUTIONS:
        torch.manual_seed(0)
        maps = torch.randn(options.batch, channels, side, side, dtype=dtype)
        maps = maps.contiguous(memory_format=torch.channels_last).requires_grad_()
        layer = nn.Conv2d(channels, outputs, kernel, padding=kernel // 2, bias=False, dtype=dtype)
        weight = layer.to(memory_format=torch.channels_last).weight
        wave = torch.randn(options.batch, outputs, side, side, dtype=dtype)
        wave = wave.contiguous(memory_format=torch.channels_last)

        def run(
            convolve: Callable[..., Tensor],
            maps: Tensor = maps,
            weight: Tensor = weight,
            wave: Tensor = wave,
        ) -> tuple[Tensor, ...]:
            result = convolve(maps, weight, None, 1, weight.shape[-1] // 2)
            return torch.autograd.grad(result, (maps, weight), wave)

        forms = {"plain": functional.conv2d, "fast": trained_conv2d}
        found = {name: run(form) for name, form in forms.items()}
        apart = max(
            float((one - two).abs().max() / one.abs().max())
            for one, two in zip(found["plain"], found["fast"], strict=True)
        )
        times = interleaved(
            {name: lambda form=form: run(form) for name, form in forms.items()}, options.rounds
        )
        rows.append(
            Row(
                work=f"convolution {kernel} x {kernel}, {channels} to {outputs} channels, "
                f"{options.batch} x {side} x {side}, forward and backward",
                dtype=options.dtype,
                plain="conv2d, channels-last",
                ratio=times["fast"].ratio(times["plain"]),
                seconds=(times["plain"].median, times["fast"].median),
                difference=apart,
            )
        )
    return rows


def main() -> None:
    """Compare, print and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="resnet50_psp")
    parser.add_argument("--classes", type=int, default=150)
    parser.add_argument("--size", type=int, default=321)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--recomputed", action="store_true", help="also with less memory")
    parser.add_argument("--convolutions", action="store_true", help="single layers instead")
    parser.add_argument("--measure", choices=FORMS, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.measure:
        step = Step(options, options.measure)
        Step(argparse.Namespace(**{**vars(options), "size": 33}), options.measure)()  # compiles
        print(extra_memory(step))
        return
    with keeping_freed_memory():
        rows = convolutions(options) if options.convolutions else whole_steps(options)
    for row in rows:
        memory = ""
        if row.memory_mib:
            memory = f", {row.memory_mib[0]:.0f} -> {row.memory_mib[1]:.0f} MiB"
        middle, least, most = row.ratio
        print(
            f"{row.work}, {row.dtype}: {row.seconds[0]:.3f} -> {row.seconds[1]:.3f} s, "
            f"{middle:.2f} ({least:.2f}-{most:.2f}) times as fast{memory}, "
            f"difference {row.difference:.1e}"
        )
    if options.out:
        save_rows(rows, options.out)


if __name__ == "__main__":
    main()
