"""Responses estimated per trial (betas): the base of their readers, arrays, and GLMsingle."""
