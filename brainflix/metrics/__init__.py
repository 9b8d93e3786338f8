"""Metrics: the arithmetic, the class and the note of each."""
