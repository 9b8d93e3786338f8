"""Pretraining: models that are learnt from runs alone, without knowing what was watched."""
