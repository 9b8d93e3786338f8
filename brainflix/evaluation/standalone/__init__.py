"""Evaluation of folders of clips, without a pipeline."""
