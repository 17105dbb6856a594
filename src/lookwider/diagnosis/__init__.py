"""Why a network fails: PSPNet's three kinds of failure, measured on any labelled data.

`Diagnoser` is an observer of `lookwider.evaluation.evaluate`; `diagnose` runs both; `compare`
says what a second network mended and broke.
"""

from lookwider.diagnosis.comparison import Comparison, compare
from lookwider.diagnosis.diagnose import Diagnoser, diagnose
from lookwider.diagnosis.relations import ClassRelations
from lookwider.diagnosis.result import Diagnosis
from lookwider.diagnosis.thresholds import Thresholds

__all__ = [
    "ClassRelations",
    "Comparison",
    "Diagnoser",
    "Diagnosis",
    "Thresholds",
    "compare",
    "diagnose",
]
