"""Exact fast paths: the same values as the plain forms, in less time and memory.

Every path has a plain form that gives the same values up to rounding, which a test compares it
with, and can be switched off: see `lookwider.kernels.switches`.
"""
