"""Readers of published studies. Nothing outside of this package imports them by a statement.

A reader is imported when a configuration names it, so that a change in one of them concerns the
runs of that study alone. What two of them share is in ``pickled_pairs`` and ``stimulus_files``.
"""
