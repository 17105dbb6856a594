"""Tiles of images: those whose predictions are the whole image's, and those on their own."""

from lookwider.inference.tiles.own_context import OwnContextPlan
from lookwider.inference.tiles.plan import Tile, TilePlan
from lookwider.inference.tiles.whole import predict_tiled, tiled_scores

__all__ = ["OwnContextPlan", "Tile", "TilePlan", "predict_tiled", "tiled_scores"]
