"""Millions of images: several processes or machines, and a manifest that loses nothing."""

from lookwider.inference.bulk.job import BulkImage, BulkJob
from lookwider.inference.bulk.run import predict_bulk
from lookwider.inference.bulk.spread import predict_spread
from lookwider.inference.bulk.tile_work import ImageJob
from lookwider.inference.bulk.tiles import SharedTiles

__all__ = ["BulkImage", "BulkJob", "ImageJob", "SharedTiles", "predict_bulk", "predict_spread"]
