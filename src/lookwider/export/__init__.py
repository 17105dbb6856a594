"""Networks as files for other runtimes, each with a certificate that it computes the same."""

from lookwider.export.certificate import Certificate, Comparison, MeasuredLoss, Tolerance
from lookwider.export.formats import DType, Format, Options
from lookwider.export.run import ParityError, export

__all__ = [
    "Certificate",
    "Comparison",
    "DType",
    "Format",
    "MeasuredLoss",
    "Options",
    "ParityError",
    "Tolerance",
    "export",
]
