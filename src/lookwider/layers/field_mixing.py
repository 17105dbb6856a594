"""Functions whose result at a place takes values of other places, in no way that is followed.

The shape of a result does not tell: a Fourier transform or a running sum leaves it as it was.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload, OpOverloadPacket
from torch.nn import functional

_PRODUCTS = (
    *("matmul", "__matmul__", "__rmatmul__", "__imatmul__", "bmm", "mm", "mv", "dot", "vdot"),
    *("inner", "outer", "ger", "kron", "tensordot", "einsum", "chain_matmul", "cdist", "bilinear"),
    *("addmm", "addmv", "addr", "addbmm", "baddbmm", "addmm_", "addmv_", "addbmm_", "baddbmm_"),
    *("matrix_exp", "matrix_power", "inverse", "pinverse", "cholesky", "svd", "qr", "adjoint"),
    *("scaled_dot_product_attention", "multi_head_attention_forward", "cov", "corrcoef"),
)
_WINDOWS = (
    *("convolution", "conv1d", "conv3d", "conv_tbc", "conv_transpose1d", "conv_transpose3d"),
    *("cudnn_convolution", "mkldnn_convolution", "miopen_convolution", "avg_pool1d", "max_pool1d"),
    *("avg_pool3d", "max_pool3d", "lp_pool1d", "lp_pool2d", "lp_pool3d", "fractional_max_pool2d"),
    *("max_unpool2d", "unfold", "fold", "lstm", "gru", "rnn_tanh", "rnn_relu", "stft", "istft"),
    *("grid_sample", "grid_sampler", "grid_sampler_2d", "lstm_cell", "diff", "trapezoid"),
    *("cumulative_trapezoid", "renorm", "gradient"),
)
_MOVES = (
    *("gather", "scatter", "scatter_", "scatter_add", "scatter_add_", "scatter_reduce"),
    *("scatter_reduce_", "take", "take_along_dim", "index_add", "index_add_", "index_copy"),
    *("index_copy_", "index_put", "index_put_", "masked_scatter", "masked_scatter_", "put", "put_"),
    *("rot90", "fliplr", "flipud", "as_strided", "topk", "argsort", "msort", "unique"),
)
_NORMS = ("group_norm", "native_group_norm", "native_layer_norm", "gumbel_softmax")


def _own_functions(module: ModuleType) -> set[Callable[..., Any]]:
    return {
        getattr(module, name) for name in dir(module) if inspect.isbuiltin(getattr(module, name))
    }


_GLOBAL: set[Callable[..., Any]] = (
    {
        getattr(owner, name)
        for owner in (torch, Tensor, functional)
        for name in (*_PRODUCTS, *_WINDOWS, *_MOVES, *_NORMS)
        if hasattr(owner, name)
    }
    | _own_functions(torch.fft)
    | _own_functions(torch.linalg)
)


def mixes_places(func: Callable[..., Any]) -> bool:
    """Return whether a function mixes places, or may: operators of extensions are unknown.

    Example:
        >>> mixes_places(torch.fft.fft2), mixes_places(torch.relu)
        (True, False)
    """
    return isinstance(func, (OpOverload, OpOverloadPacket)) or func in _GLOBAL
