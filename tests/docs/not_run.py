"""What is on the pages and does not run in a test, and why. It is still parsed."""

from __future__ import annotations

WEIGHTS = "reads released weights of hundreds of megabytes"
MACHINES = "needs several devices or machines"
HUB = "asks the Hugging Face Hub; tests/hub has one of its own"
SERVES = "serves until it is stopped; tests/web talks to it"
ROWS = "trains every row of a table; tests/ablation fills a tiny one"
EXPORTS = "takes many seconds; tests/export does, and the page's first export is run"

COMMANDS = {
    "pip install": "installs packages",
    "pytest": "these are the tests",
    "python (-m )?benchmarks[./]": "measures for minutes; `make bench` runs the benchmarks",
    "python -c": "prints a secret",
    "curl ": SERVES,
    "hf ": HUB,
    "torchrun": MACHINES,
    "srun": MACHINES,
    "lookwider --install-completion": "changes how the shell starts; tests/cli asks as shells do",
    "lookwider doctor": "is about this machine; tests/environment asks about others",
    "lookwider demo": "trains three systems; tests/demo runs the whole of it",
    "lookwider bench( |$)(?!runs/)": "measures; tests/bench does, and a bench of a run is run",
    "lookwider ablate": ROWS,
    "lookwider export runs/a --(format|fixed|dtype)": EXPORTS,
    "lookwider serve": SERVES,
    "lookwider push": HUB,
    "lookwider [a-z]+ .*hf://": HUB,
    "lookwider export .*--(format|fixed|dtype)": "takes seconds; tests/export runs every format",
    "lookwider convert": WEIGHTS,
    "lookwider verify models/": WEIGHTS,
    "lookwider train fcn8s data=photos backbone=vgg16 style=released": WEIGHTS,
    "lookwider train parsenet data=photos backbone=vgg16_largefov init_from": WEIGHTS,
    "lookwider train pspnet data=PATH accelerator=gpu": MACHINES,
    "lookwider evaluate runs/a data=ade20k": "reads ADE20K",
    "lookwider evaluate runs/a data=cityscapes": "reads Cityscapes",
    "lookwider predict runs/a photos --out predictions --workers 4 --engine ray": MACHINES,
    "lookwider predict runs/a /data/photos": MACHINES,
    "lookwider predict runs/a s3://bucket": "reads a bucket over the network",
}
"""Patterns of how commands begin, and the reason."""

PYTHON = {
    'from_pretrained("ann/roads"': HUB,
    'export(model, "net.pt2"': EXPORTS,
    "run_table(plan)": ROWS,
    'convert("fcn8s-heavy-pascal.caffemodel"': WEIGHTS,
    "SharedTiles(": "starts processes; tests/inference/bulk runs them",
    "(20_000, 20_000)": "plans for an image of 400 million pixels",
}
"""Words of Python blocks, and the reason."""
