"""What a network knows of the whole picture, in two halves: summarise and fuse."""

from lookwider.context.contract import Context, NoContext, Summary
from lookwider.context.global_context import GlobalContext
from lookwider.context.pyramid import PyramidContext
from lookwider.context.regions import RegionSummary

__all__ = ["Context", "GlobalContext", "NoContext", "PyramidContext", "RegionSummary", "Summary"]
