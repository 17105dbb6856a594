"""The data doctor: is a data set usable, what is in it, and what is wrong with it?"""

from lookwider.data.doctor.check import check_dataset
from lookwider.data.doctor.report import DataReport

__all__ = ["DataReport", "check_dataset"]
