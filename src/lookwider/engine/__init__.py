"""The inference engine: networks rewritten to give the same scores in less time."""

from lookwider.engine.parts import InferenceTrunk, Parts, compiled_parts, inference_dtype

__all__ = ["InferenceTrunk", "Parts", "compiled_parts", "inference_dtype"]
