"""BOLD Moments (Lahner et al. 2024)."""
