"""Chance by permutation, intervals by bootstrap."""
