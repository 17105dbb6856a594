"""Small networks and images for tests of tiled prediction."""

import numpy as np
import tifffile
import torch

from lookwider.classes import Classes
from lookwider.models import create_model

CLASSES = Classes.numbered(9)


def network(name="pspnet", **options):
    """Return a tiny network of which no class wins everywhere."""
    torch.manual_seed(0)
    options = {"backbone": "test_resnet", "classes": CLASSES, **options}
    if name == "fcn32s":
        options["zero_scores"] = False
    else:
        options["output_stride"] = 32
    model = create_model(name, **options).eval()
    with torch.inference_mode():
        scores = next(iter(model.scores(model.preprocess(picture(230, 270))).values())).scores
        biases = [p for p in model.heads["main"].parameters() if p.shape == (len(CLASSES),)]
        biases[-1].sub_(scores.mean((0, 2, 3)))
    return model


def picture(height, width, bands=3):
    """Return smooth stripes and noise."""
    rows, cols = np.mgrid[:height, :width]
    waves = [np.sin(rows / (9 + 5 * b)) + np.cos(cols / (13 - b)) for b in range(bands)]
    noise = np.random.default_rng(0).normal(0, 0.5, (height, width, bands))
    return ((np.stack(waves, 2) + noise) * 50 + 128).clip(0, 255).astype(np.uint8)


def written(path, pixels):
    """Write an image as a tiled TIFF; return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, pixels, photometric="rgb", compression="zlib", tile=(64, 64))
    return path


def huge(path, side):
    """Write a large image, most of which is empty, as a sparse tiled TIFF; return the path."""
    blocks = -(-side // 256)
    content = [picture(256, 256) if i % 97 == 0 else None for i in range(blocks * blocks)]
    tifffile.imwrite(
        path,
        iter(content),
        shape=(side, side, 3),
        dtype=np.uint8,
        photometric="rgb",
        tile=(256, 256),
        compression="zlib",
    )
    return path
