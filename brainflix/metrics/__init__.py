"""The metrics: one file for each, found by name in :mod:`brainflix.metrics.catalogue`."""
