"""Batch normalisation that sees the images of all processes, while they train together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch.plugins import LayerSync
from timm.layers import norm_act
from torch import Tensor, distributed, nn
from torch.nn import functional

from lookwider.layers.modes import full_precision
from lookwider.training.collectives import process_count


class SyncBatchNorms(LayerSync):
    """Let batch normalisation see the images of all processes while they train together.

    Unlike the trainer's own conversion it keeps the activation that timm joins to some norms, and
    works on processors too, for which PyTorch's `SyncBatchNorm` is not made. The saved model is
    not touched by it: names and shapes of the tensors stay.

    Args:
        gpu: whether the run is on GPUs.
    """

    def __init__(self, *, gpu: bool) -> None:
        self.gpu = gpu

    def apply(self, model: nn.Module) -> nn.Module:
        """Return the model with its batch norms synchronised."""
        if self.gpu:
            convert: Callable[[nn.Module], nn.Module] = norm_act.convert_sync_batchnorm
            return convert(model)
        for module in list(model.modules()):
            for name, child in module.named_children():
                if isinstance(child, nn.BatchNorm2d):
                    module.register_module(name, ProcessorBatchNorm(child))
        return model

    def revert(self, model: nn.Module) -> nn.Module:
        """Return the model as it is: a run's model is not used after it."""
        return model


class ProcessorBatchNorm(nn.Module):
    """Batch normalisation over the maps of all processes, on processors.

    In plain operations, whose gradients reach the other processes' maps through the sums.

    Args:
        norm: whose tensors it takes over, and the activation that timm joins to some.

    Shape:
        (N, C, h, w) -> the same; N, h and w may differ between processes.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        assert norm.momentum is not None, "no trunk here averages over all batches"
        self.eps, self.momentum = norm.eps, norm.momentum
        self.weight, self.bias = norm.weight, norm.bias
        for name, buffer in norm.named_buffers(recurse=False):
            self.register_buffer(name, buffer)
        for name, child in norm.named_children():
            self.register_module(name, child)
        self.training = norm.training

    def forward(self, maps: Tensor) -> Tensor:
        """Return the normalised maps; in evaluation by the running statistics."""
        if self.training:
            self.num_batches_tracked.add_(1)
        if self.training and process_count() > 1:
            found = self._over_all(maps)
        else:
            found = functional.batch_norm(
                maps,
                self.running_mean,
                self.running_var,
                self.weight,
                self.bias,
                self.training,
                self.momentum,
                self.eps,
            )
        for joined in self.children():
            found = joined(found)
        return found

    def _over_all(self, maps: Tensor) -> Tensor:
        with full_precision(maps.device):
            values = maps.to(torch.promote_types(maps.dtype, torch.float32))
            own = values.new_full((1,), values.numel() // values.shape[1])
            sums = _sum(torch.cat([own, values.sum((0, 2, 3))]))
            count = sums[0].detach()
            mean = sums[1:] / count
            centred = values - mean[:, None, None]
            variance = _sum(centred.square().sum((0, 2, 3))) / count
            found = centred * (variance + self.eps).rsqrt()[:, None, None]
            self.running_mean.lerp_(mean.detach(), self.momentum)
            self.running_var.lerp_(variance.detach() * count / (count - 1), self.momentum)
            found = found * self.weight[:, None, None] + self.bias[:, None, None]
        return found.to(maps.dtype)


class _SumOfAll(torch.autograd.Function):
    """The sum over the processes; each one's gradient is the sum of all of theirs."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        del ctx
        total = value.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        del ctx
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total


def _sum(value: Tensor) -> Tensor:
    total: Tensor = _SumOfAll.apply(value)
    return total
