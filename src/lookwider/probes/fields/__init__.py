"""Receptive fields: what could reach a place, what does, and how strongly."""

from lookwider.probes.fields.average import AverageField, average_fields
from lookwider.probes.fields.empirical import empirical_field
from lookwider.probes.fields.gradient import gradient_field
from lookwider.probes.fields.report import FieldReport, layers_content, layers_table
from lookwider.probes.fields.result import MeasuredField, Windows
from lookwider.probes.fields.theoretical import Box, TheoreticalField, theoretical_field

__all__ = [
    "AverageField",
    "Box",
    "FieldReport",
    "MeasuredField",
    "TheoreticalField",
    "Windows",
    "average_fields",
    "empirical_field",
    "gradient_field",
    "layers_content",
    "layers_table",
    "theoretical_field",
]
