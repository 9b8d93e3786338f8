"""HAD (Zhou et al. 2023)."""
