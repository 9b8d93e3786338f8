"""Responses that were estimated before: betas and arrays, a row for each trial."""
