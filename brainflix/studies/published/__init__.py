"""Readers of published studies in the form in which they are shared."""
