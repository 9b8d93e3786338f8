"""Artifacts: what stages leave for each other, one class for each kind of file."""
