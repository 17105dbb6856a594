"""Names of the parameters of wkentaro/pytorch-fcn: the FCN release's layers as PyTorch modules."""

from __future__ import annotations

from lookwider.weights.convert.caffe_names import fcn_layer


def wkentaro_key(name: str, *, last: str) -> str:
    """Return the key of a parameter of FCN.

    Args:
        name: our name.
        last: the module that upsamples to the image.

    Example:
        >>> wkentaro_key("heads.main.upscores.1.deconvolution.weight", last="upscore8")
        'upscore_pool4.weight'
    """
    layer, _, kind = name.rpartition(".")
    return f"{fcn_layer(layer, last, {'main': ''})}.{kind}"
