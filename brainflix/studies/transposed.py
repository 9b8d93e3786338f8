"""Responses that lie voxel by voxel on disk, turned into rows a trial in one pass over the file.

Files of GLMsingle and of MATLAB have the trials last, so that one trial is spread over the whole
file. Reading it run by run would read the file once a run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable

import numpy as np

HELD = 1 << 30  # bytes of rows that are held in memory; more of them lie in a temporary file


def turn(slabs: Iterable[tuple[slice, np.ndarray]], n_trials: int, n_voxels: int) -> np.ndarray:
    """Return rows (trial, voxel), float32, of slabs (voxel, trial).

    Parameters
    ----------
    slabs : iterable of (slice, ndarray)
        Which voxels, and their values; together all voxels.
    n_trials, n_voxels : int
        Size of the whole.

    Returns
    -------
    ndarray of float32, shape (trial, voxel)
        In memory when it is small, else mapped from a temporary file without a name, which is gone
        when the array is; it lies where TMPDIR says.
    """
    if 4 * n_trials * n_voxels <= HELD:
        rows = np.empty((n_trials, n_voxels), dtype=np.float32)
    else:
        with tempfile.TemporaryFile() as file:
            rows = np.memmap(file, np.float32, "w+", shape=(n_trials, n_voxels))
    for part, slab in slabs:
        rows[:, part] = slab.T
    return rows
