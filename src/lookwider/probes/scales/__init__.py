"""How large the features of each layer are, before and after normalisation."""

from lookwider.probes.scales.measure import feature_scales
from lookwider.probes.scales.points import Point
from lookwider.probes.scales.result import FeatureScales
from lookwider.probes.scales.statistics import Norms

__all__ = ["FeatureScales", "Norms", "Point", "feature_scales"]
