"""Figures: how what a section shows is drawn."""
