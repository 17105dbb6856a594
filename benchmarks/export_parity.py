"""Parity of ONNX Runtime with PyTorch for every model of the registry, at ten sizes.

Run: python benchmarks/export_parity.py [WORDS...]
With words, only the rows that hold one of them. Weights are random: parity asks for the same
computation, whatever the weights.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from lookwider import LookwiderError, Segmenter, create_model
from lookwider.export import Certificate, ParityError, export

ROWS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("fcn32s", {"backbone": "vgg16", "style": "released", "upsampling": "fixed"}),
    ("fcn16s", {"backbone": "alexnet", "style": "released"}),
    ("fcn8s", {"backbone": "vgg16"}),
    ("fcn8s_atonce", {"backbone": "googlenet"}),
    ("fcn8s", {"backbone": "googlenet_torchvision", "upsampling": "learned"}),
    ("fcn", {"backbone": "resnet18", "finest_stride": 4, "upsampling": "interpolation"}),
    ("fcn8s", {"backbone": "convnext_atto", "upsampling": "interpolation"}),
    ("fcn8s", {"backbone": "mobilenetv3_small_050"}),
    ("fcn8s", {"backbone": "efficientnet_b0"}),
    ("fcn32s", {"backbone": "regnetx_002"}),
    ("fcn16s", {"backbone": "pvt_v2_b0", "upsampling": "interpolation"}),
    ("parsenet", {"backbone": "vgg16_largefov"}),
    ("parsenet", {"backbone": "resnet18", "fusion": "early"}),
    ("parsenet", {"backbone": "resnet18", "merge": "learned", "layers": ("layer3", "layer4")}),
    ("parsenet", {"backbone": "resnet18", "across_spatial": True, "upsampling": "fixed"}),
    ("parsenet", {"backbone": "vit_tiny_patch16_224", "output_stride": 16}),
    ("pspnet", {"backbone": "resnet50_psp"}),
    ("pspnet", {"backbone": "resnet50_psp", "stride_on": "1x1", "dilation": "torchvision"}),
    ("pspnet", {"backbone": "resnet18", "pooling": "max"}),
    ("pspnet", {"backbone": "resnet18", "reduce": False, "alignment": "half_pixel"}),
    ("pspnet", {"backbone": "resnet18", "norm": "group", "alignment": "centred"}),
    ("pspnet", {"backbone": "resnet18", "bins": ()}),
    ("pspnet", {"backbone": "mobilenetv2_100", "bins": (1, 4)}),
)
"""Every model, every trunk of this package, and trunks of timm of several families."""


def build(name: str, options: dict[str, Any]) -> Segmenter:
    """Return a model whose every weight matters: scores that start at zero are drawn too."""
    torch.manual_seed(0)
    model = create_model(name, num_classes=7, **options).eval()
    for parameter in model.heads.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    return model


def row(name: str, options: dict[str, Any], certificate: Certificate, verdict: str) -> str:
    """Return one line of the table."""
    words = [f"{key}={value}" for key, value in options.items() if key != "backbone"]
    different = sum(c.different for c in certificate.comparisons)
    pixels = sum(c.pixels for c in certificate.comparisons)
    cells = (name, options["backbone"], " ".join(words), f"{certificate.worst:.1e}")
    return f"| {' | '.join(cells)} | {different} of {pixels} | {verdict} |"


def main() -> None:
    """Print the table."""
    words = sys.argv[1:]
    print("| model | trunk | options | worst, of the largest logit | other labels | |")
    print("| --- | --- | --- | --- | --- | --- |")
    worst = 0.0
    for name, options in ROWS:
        if words and not any(word in f"{name} {options}" for word in words):
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                certificate, verdict = export(build(name, options), Path(folder) / "net"), "same"
            except ParityError as error:
                certificate, verdict = error.certificate, "DIFFERS"
            except LookwiderError as error:
                print(f"| {name} | {options['backbone']} | | | | {error} |", flush=True)
                continue
        worst = max(worst, certificate.worst or 0.0)
        print(row(name, options, certificate, verdict), flush=True)
    print(f"\nworst difference of all: {worst:.1e} of the largest logit")


if __name__ == "__main__":
    main()
