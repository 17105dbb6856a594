"""lookwider beside torchvision and segmentation_models.pytorch, at their own networks.

torchvision's FCN is exactly lookwider's PSPNet without a pyramid: both get the same weights, and
the results are compared. Their other networks have no equal here, and the nearest settings are
taken; the rows say where the networks differ. Theirs is eager, as they are used; ours is compiled
for inference (`model.compile_for_inference()`), and its labels come from coarse scores. Both are
channels last, in float32 and in evaluation mode, from a preprocessed image to labels.

    pip install -e '.[bench]'
    python benchmarks/others.py --out results/others.json
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import torch
import torchvision
from torch import Tensor, nn

from lookwider import Segmenter, create_model
from lookwider.bench.memory import extra_memory, keeping_freed_memory
from lookwider.weights.convert.torchvision_names import torchvision_key
from networks import labels_of, show
from timing import Row, interleaved, save_rows

CLASSES = 21


@dataclass(frozen=True)
class Pair:
    """A network of another toolkit and lookwider's nearest.

    Attributes:
        theirs: builds the other network.
        ours: keywords of `lookwider.create_model`.
        title: the other network in words.
        nearest: ours in words.
        differs: where the two differ; empty when they are the same.
        size: (height, width) of the image.
    """

    theirs: Callable[[], nn.Module]
    ours: dict[str, Any]
    title: str
    nearest: str
    differs: str
    size: tuple[int, int]


def torchvision_network(name: str) -> nn.Module:
    """Return one of torchvision's segmentation networks, with random weights."""
    return torchvision.models.get_model(
        name, weights=None, weights_backbone=None, num_classes=CLASSES, aux_loss=True
    )


PAIRS = {
    "torchvision-fcn": Pair(
        lambda: torchvision_network("fcn_resnet50"),
        {
            "backbone": "resnet50",
            "bins": (),
            "dilation": "torchvision",
            "alignment": "half_pixel",
        },
        f"torchvision {torchvision.__version__} fcn_resnet50",
        "dilated FCN on ResNet-50 (the same network)",
        "",
        (520, 520),
    ),
    "torchvision-deeplabv3": Pair(
        lambda: torchvision_network("deeplabv3_resnet50"),
        {"backbone": "resnet50", "dilation": "torchvision", "alignment": "half_pixel"},
        f"torchvision {torchvision.__version__} deeplabv3_resnet50",
        "PSPNet on ResNet-50 (another context)",
        "the same trunk; five dilated branches of 256 channels there, the pyramid here",
        (520, 520),
    ),
    "smp-pspnet": Pair(
        lambda: smp.PSPNet("resnet50", encoder_weights=None, classes=CLASSES),
        {"backbone": "resnet50", "layer": "layer2", "hidden": 512, "aux": False},
        f"segmentation_models.pytorch {smp.__version__} PSPNet(resnet50)",
        "PSPNet on ResNet-50 to layer2 (another head)",
        "its trunk ends at layer2, so here too; a 1 x 1 convolution after the pyramid and a 3 x 3 "
        "classifier there, a 3 x 3 and a 1 x 1 here, which is more work",
        (480, 480),
    ),
}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=PAIRS, default=list(PAIRS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, nargs=2, help="another size, for a quick look")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    rows = []
    with keeping_freed_memory(), torch.inference_mode():
        for name in options.only:
            rows.append(compare(PAIRS[name], options.rounds, options.size))
            show(rows[-1])
            print(f"  the networks differ: {PAIRS[name].differs or 'not at all'}")
            if options.out:
                save_rows(rows, options.out)


def compare(pair: Pair, rounds: int, size: tuple[int, int] | None = None) -> Row:
    """Return the comparison of the two networks."""
    height, width = size or pair.size
    torch.manual_seed(0)
    theirs = pair.theirs().eval().to(memory_format=torch.channels_last)
    model = create_model("pspnet", num_classes=CLASSES, **pair.ours).eval()
    if not pair.differs:
        take_weights(model, theirs)
    network = model.compile_for_inference(dtype=torch.float32)
    images = torch.randn(1, 3, height, width).to(memory_format=torch.channels_last)

    def logits() -> Tensor:
        found = theirs(images)
        return found["out"] if isinstance(found, dict) else found

    runs: dict[str, Callable[[], Tensor]] = {
        "theirs": lambda: logits().argmax(1).to(torch.uint8),
        "ours": labels_of(network, images),
    }
    timings = interleaved(runs, rounds)
    held = extra_memory(runs["theirs"]), extra_memory(runs["ours"])
    difference = agreement = None
    if not pair.differs:
        expected = logits()
        difference = ((network(images) - expected).abs().max() / expected.abs().max()).item()
        agreement = (runs["ours"]() == runs["theirs"]()).double().mean().item()
    return Row(
        work=f"{pair.nearest}, {CLASSES} classes, {height} x {width}, image to labels",
        dtype="float32",
        plain=pair.title,
        ratio=timings["ours"].ratio(timings["theirs"]),
        seconds=(timings["theirs"].median, timings["ours"].median),
        difference=difference,
        agreement=agreement,
        memory_mib=None if held[0] is None or held[1] is None else (held[0], held[1]),
    )


def take_weights(model: Segmenter, theirs: nn.Module) -> None:
    """Give lookwider's network the weights of torchvision's FCN."""
    state = theirs.state_dict()
    model.load_state_dict({name: state[torchvision_key(name)] for name in model.state_dict()})


if __name__ == "__main__":
    main()
