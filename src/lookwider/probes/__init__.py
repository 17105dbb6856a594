"""Instruments: what a network really looks at, and what its context does to its decisions."""
