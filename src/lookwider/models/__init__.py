"""The segmentation systems, one file per paper."""

from lookwider.models.parameters import (
    ParameterCount,
    count_parameters,
    initialise_from,
    parameter_roles,
)
from lookwider.models.registry import MODELS, create_model, model_options, option_types
from lookwider.models.segmenter import ImageLike, Segmenter

__all__ = [
    "MODELS",
    "ImageLike",
    "ParameterCount",
    "Segmenter",
    "count_parameters",
    "create_model",
    "initialise_from",
    "model_options",
    "option_types",
    "parameter_roles",
]
