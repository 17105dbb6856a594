"""One of two processes: count the images 0 to 4 or 5 and 6 of seven, write the common counts."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from lookwider.evaluation.metrics import ConfusionCounts


def seven_images() -> torch.Tensor:
    """Return labels and predictions: (2, 7, 30)."""
    return torch.randint(0, 4, (2, 7, 30), generator=torch.Generator().manual_seed(0))


if __name__ == "__main__":
    rank, folder = int(sys.argv[1]), Path(sys.argv[2])
    store = dist.FileStore(str(folder / "meet"), 2)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=2)
    metric = ConfusionCounts(num_classes=4)
    labels, predictions = seven_images()
    for index in range(5) if rank == 0 else range(5, 7):
        metric.update(labels[index], predictions[index])
    (folder / f"{rank}.json").write_text(json.dumps(metric.compute().tolist()))
    dist.destroy_process_group()
