"""Audits: whether test clips leaked into what was fitted, and whether reconstructions differ."""
