"""What a network knows of the whole picture, in two halves: summarise and fuse."""

from lookwider.context.contract import Context, NoContext, Summary

__all__ = ["Context", "NoContext", "Summary"]
