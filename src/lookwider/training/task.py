"""The Lightning module: what happens in one step. Loops, devices and files are elsewhere."""

from __future__ import annotations

import math
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import STEP_OUTPUT
from torch import Tensor
from torch.optim import SGD, AdamW, Optimizer

from lookwider.classes import IGNORE_INDEX
from lookwider.data.sample import Batch
from lookwider.errors import LookwiderError
from lookwider.evaluation.metrics import ConfusionCounts
from lookwider.models import Segmenter, parameter_roles
from lookwider.training.collectives import (
    objects_of_all,
    process_count,
    sum_of_all,
)
from lookwider.training.config import TrainConfig
from lookwider.training.hardware import memory_layout
from lookwider.training.loss_sampling import hardest_of_all, sample_loss
from lookwider.training.optimisation import GroupRule, lr_factor, parameter_groups
from lookwider.training.sampling import seed_for


class NonFiniteError(LookwiderError):
    """The loss or its gradient became NaN or infinite; nothing was updated with it."""


class SegmentationTask(LightningModule):
    """Train a segmenter with one optimiser on the losses of all of its heads.

    Args:
        model: the segmenter.
        config: of the run.
        max_steps: optimiser steps of the run.
        class_weights: (K,) weights of the main head's classes, or None.
    """

    class_weights: Tensor | None

    def __init__(
        self,
        model: Segmenter,
        config: TrainConfig,
        max_steps: int,
        class_weights: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.config = config
        self.layout = memory_layout(model, config)
        self.max_steps = max_steps
        self.register_buffer("class_weights", class_weights, persistent=False)
        self.counts = ConfusionCounts(model.num_classes)
        self.group_settings: list[dict[str, Any]] = []
        self.seen: list[tuple[tuple[str, ...], Tensor]] = []  # of the step being accumulated

    def configure_optimizers(self) -> Optimizer:
        """Return the optimiser over `parameter_groups`."""
        config = self.config
        rule = GroupRule(
            base_lr=config.base_lr,
            weight_decay=config.weight_decay,
            new_lr_factor=config.new_lr_factor,
            bias_lr_factor=config.bias_lr_factor,
            bias_decay=config.bias_decay,
        )
        groups = parameter_groups(self.model, parameter_roles(self.model), rule)
        optimizer: Optimizer
        if config.optimizer == "adamw":
            optimizer = AdamW(groups, lr=config.base_lr)
        else:
            optimizer = SGD(groups, lr=config.base_lr, momentum=config.momentum)
        self.group_settings = [
            {name: value for name, value in group.items() if name != "params"}
            for group in optimizer.param_groups
        ]
        return optimizer

    def on_train_start(self) -> None:
        """Let the config decide, not the saved state, when a run continues with new settings."""
        groups = self.trainer.optimizers[0].param_groups
        for group, settings in zip(groups, self.group_settings, strict=True):
            group.update(settings)

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        """Move a batch, its images in the model's memory format."""
        del dataloader_idx
        return Batch(
            images=batch.images.to(device, non_blocking=True).contiguous(memory_format=self.layout),
            labels=batch.labels.to(device, non_blocking=True),
            names=batch.names,
            extra_labels={
                head: labels.to(device, non_blocking=True)
                for head, labels in batch.extra_labels.items()
            },
        )

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed dropout and set the learning rates, both by the place in the run only."""
        del batch
        torch.manual_seed(seed_for(self.config.seed, "forward", batch_idx, self.global_rank))
        factor = lr_factor(
            self.global_step,
            self.max_steps,
            schedule=self.config.schedule,
            power=self.config.power,
            warmup_steps=self.config.warmup_steps,
        )
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = group["initial_lr"] * factor

    def training_step(self, batch: Batch, batch_idx: int) -> STEP_OUTPUT:
        """Return the loss of a batch: the main head's, and the others' by their weight."""
        loss = self.loss(batch, batch_idx)
        self.seen.append((batch.names, loss.detach()))
        return loss

    def loss(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the weighted sum of the heads' losses; heads with own labels weigh 1.

        Of processes that train together, the mean of what they return is the loss of the whole
        batch: each pixel counts as in one process, wherever the valid ones are.
        """
        config = self.config
        hardest = config.loss_keep if config.loss_sampling == "hard" else None
        main = sample_loss(
            batch.labels,
            config.loss_sampling,
            keep=config.loss_keep,
            cell=config.loss_cell,
            num_classes=self.model.num_classes,
            seed=seed_for(config.seed, "loss", batch_idx, 0),
        )
        total = torch.zeros((), device=batch.images.device)
        for head, scores in self.model.scores(batch.images).items():
            own = head in batch.extra_labels
            loss = scores.cross_entropy(
                batch.extra_labels[head] if own else main,
                weight=None if own else self.class_weights,
                ignore_index=IGNORE_INDEX,
                reduction=config.reduction,
                label_smoothing=config.label_smoothing,
                hardest=None if own else hardest,
                add_up=sum_of_all,
                choose=hardest_of_all,
            )
            total = total + loss * (1.0 if own or head == "main" else config.aux_weight)
        # the mean over pixels was divided by those of all processes, the one over images was not
        return total * process_count() if config.reduction == "mean" else total

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Stop before a non-finite loss or gradient reaches the weights.

        Raises:
            NonFiniteError: in every process, naming the step, the images of all of them that are
                concerned, and what to try.
        """
        del optimizer
        losses = torch.stack([loss for _, loss in self.seen])
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients).to(losses)
        bad = (~torch.cat([losses, norm[None]]).isfinite()).sum()
        # all stop at the same step, also where the loss of one process alone is not finite
        if int(sum_of_all(bad)):  # one wait for the device
            named = [(names, float(loss)) for names, loss in self.seen]
            everyones = [entry for entries in objects_of_all(named) for entry in entries]
            raise NonFiniteError(self._explain(everyones, float(norm)))
        self.seen.clear()

    def _explain(self, named: list[tuple[tuple[str, ...], float]], norm: float) -> str:
        bad = [names for names, loss in named if not math.isfinite(loss)]
        what = "loss" if bad else f"gradient norm ({norm})"
        images = ", ".join(name for names in (bad or [n for n, _ in named]) for name in names)
        return (
            f"the {what} is not finite at step {self.global_step}, on the images {images}; "
            "the weights were not changed by it. Try a lower base_lr, clip_grad=10, "
            "warmup_steps=500 or precision=32-true, and look at these images "
            "with: lookwider data check"
        )

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Count the pixels of each (truth, prediction) pair of the main head."""
        del batch_idx
        scores = self.model.scores(batch.images)["main"]
        self.counts.update(batch.labels, scores.labels())
