"""CC2017 (Wen et al. 2018), in the forms in which it is shared."""
