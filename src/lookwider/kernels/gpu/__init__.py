"""Labels and loss of upsampled scores on a GPU, in Triton; imported only where it is used.

The unit of work is a *cell*: the pixels between four neighbouring coarse places. A cell's corners
are read once, its pixels are interpolated in registers, and nothing of the size of the logits is
ever stored.
"""

from lookwider.kernels.gpu.labels import upsampled_labels
from lookwider.kernels.gpu.loss import upsampled_cross_entropy, upsampled_losses

__all__ = ["upsampled_cross_entropy", "upsampled_labels", "upsampled_losses"]
