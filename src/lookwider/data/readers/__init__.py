"""Readers of the layouts that data sets come in: which file is whose label, and what it means."""
