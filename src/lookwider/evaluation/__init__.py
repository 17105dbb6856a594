"""Metrics by FCN's definition, and the loop that measures a model with them."""

from lookwider.evaluation.evaluate import evaluate
from lookwider.evaluation.metrics import ConfusionCounts
from lookwider.evaluation.result import ClassScores, Evaluation

__all__ = ["ClassScores", "ConfusionCounts", "Evaluation", "evaluate"]
