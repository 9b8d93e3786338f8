"""Finetuning: models that are trained further on training clips and trials."""
