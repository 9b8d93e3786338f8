"""Priors: what brings regressed vectors back to where true ones lie, between regression and use."""
