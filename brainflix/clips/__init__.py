"""Clips as frames: sets of them, and the frames on disk."""
