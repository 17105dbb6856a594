"""Convolutions in int8: static quantisation by ONNX Runtime, calibrated on images."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import onnx
from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process

from lookwider.export.parity import Array


class _Images:
    """Hands out images one by one, as ONNX Runtime's ``CalibrationDataReader`` does."""

    def __init__(self, name: str, images: Sequence[Array]) -> None:
        self.rest = iter([{name: image} for image in images])

    def get_next(self) -> dict[str, Array] | None:
        """Return the next input, or None at the end."""
        return next(self.rest, None)


def quantised(model: onnx.ModelProto, name: str, images: Sequence[Array]) -> onnx.ModelProto:
    """Return a model whose convolutions compute in 8 bits.

    Weights are quantised per channel, features per map, by the range that the images reach.

    Args:
        model: in float32.
        name: of its input.
        images: as the model takes them.
    """
    with tempfile.TemporaryDirectory() as folder:
        plain, prepared, path = (Path(folder) / name for name in ("a.onnx", "b.onnx", "c.onnx"))
        onnx.save(model, plain)
        # folds normalisations into the convolutions, whose products then need one range
        quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
        quantization.quantize_static(
            str(prepared),
            str(path),
            _Images(name, images),
            op_types_to_quantize=["Conv"],
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
        return onnx.load(path)
