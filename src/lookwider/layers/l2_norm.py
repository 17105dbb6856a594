"""L2 normalisation with a learned scale (ParseNet, Liu et al. 2015, section 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class L2Norm(nn.Module):
    """Give every place a feature vector of length one, then scale each channel.

    Features of different layers differ in magnitude; normalised, they can be joined. The
    gradient is the true one (equations 3 to 5): the released C++ leaves the channels' scales out
    of an inner product.

    Args:
        channels: of the features.
        scale: initial value of the scale; the paper finds that 1 hardly trains and 10 or 20 do.
        across_spatial: one length for a whole map instead of one per place.
        channel_shared: one scale for all channels.
        learned: whether the scale is learned.
        eps: added to the squared length, inside the root.

    Example:
        >>> L2Norm(2, scale=10.0)(torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)).flatten().tolist()
        [6.0, 8.0]
    """

    def __init__(
        self,
        channels: int,
        *,
        scale: float = 10.0,
        across_spatial: bool = False,
        channel_shared: bool = False,
        learned: bool = True,
        eps: float = 1e-10,
    ) -> None:
        super().__init__()
        self.axes = (1, 2, 3) if across_spatial else (1,)
        self.eps = eps
        values = torch.full((1 if channel_shared else channels,), float(scale))
        self.scale = nn.Parameter(values, requires_grad=learned)

    def forward(self, features: Tensor) -> Tensor:
        """Return the normalised and scaled features.

        The length is computed in float32 at least, also under autocast.

        Shape:
            (N, C, h, w) -> (N, C, h, w), in the dtype of the features.
        """
        wide = features.to(torch.promote_types(features.dtype, torch.float32))
        squares = wide.square().sum(self.axes, keepdim=True)
        scale = self.scale[:, None, None] * (squares + self.eps).rsqrt()
        return (wide * scale).to(features.dtype)
