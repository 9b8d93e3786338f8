"""Studies: which runs, clips and trials exist on disk, and how their responses are loaded.

``study`` is the base of all readers, ``readers`` opens a study by the reader's name. The readers
are in ``bids`` (time series in BIDS derivatives), ``estimates`` (betas in arrays and GLMsingle's
folders) and ``published`` (one module or package per public study).
"""
