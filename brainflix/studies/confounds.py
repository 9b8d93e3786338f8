"""Columns of a confounds table as fMRIPrep writes it."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from brainflix.errors import StudyError
from brainflix.studies.tables import read_table


def read_confounds(path: Path, names: Sequence[str], n_volumes: int) -> np.ndarray:
    """Return columns of a confounds table.

    Parameters
    ----------
    path : Path
        The table, a line a volume.
    names : sequence of str
        Columns; a name may hold wildcards, such as ``a_comp_cor_0?``.
    n_volumes : int
        Volumes of the run.

    Returns
    -------
    ndarray of float64, shape (volume, column)
        Cells that are n/a, as in the first line of a derivative, take the mean of their column.

    Raises
    ------
    StudyError
        When a column is missing or the table has another length than the run.
    """
    table = read_table(path)
    chosen: list[str] = []
    for name in names:
        matching = fnmatch.filter(table.columns, name)
        if not matching:
            raise StudyError(
                "the confounds table lacks a column",
                expected=name,
                found=", ".join(table.columns),
                where=path,
            )
        chosen += [column for column in matching if column not in chosen]
    if len(table.rows) != n_volumes:
        raise StudyError(
            "the confounds table has another length than the run",
            expected=f"{n_volumes} lines",
            found=len(table.rows),
            where=path,
        )
    values = np.array(
        [[table.number(row, name, None) or 0.0 for name in chosen] for row in range(n_volumes)],
        dtype=np.float64,
    ).reshape(n_volumes, len(chosen))
    known = np.array([[bool(row[name]) for name in chosen] for row in table.rows], dtype=bool)
    known = known.reshape(values.shape)
    mean = values.sum(axis=0, where=known) / np.maximum(known.sum(axis=0), 1)
    return np.where(known, values, mean)
