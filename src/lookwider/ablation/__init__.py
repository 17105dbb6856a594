"""The tables of the three papers, trained and measured again, each row on one schedule."""

from lookwider.ablation.published import Published
from lookwider.ablation.table import AblationTable, Row
from lookwider.ablation.tables import TABLES, find_table

__all__ = ["TABLES", "AblationTable", "Published", "Row", "find_table"]
