"""Columns of a confounds table as fMRIPrep writes it, by name or by strategy.

A strategy is a name for columns that are usually removed together. They are the ones that
``nilearn.interfaces.fmriprep.load_confounds`` (nilearn 0.13) knows, found by the names that
fMRIPrep gives its columns. nilearn itself is not asked: it wants the image next to the table, takes
1.5 s to import in every job, and removes scrubbed volumes, where here time must stay whole so that
clips keep their volumes. One spike regressor per volume fits that volume perfectly, which is the
same for the regression as leaving it out, and puts 0, the mean, in its place.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from brainflix.errors import StudyError
from brainflix.formats.tsv import Table, read_table

_MOTION = r"(trans|rot)_[xyz]"
_COMPONENTS = 6  # anatomical components, as most studies take them; more by a_comp_cor_*
STRATEGIES = {
    "motion6": _MOTION,
    "motion12": rf"{_MOTION}(_derivative1)?",
    "motion24": rf"{_MOTION}(_derivative1)?(_power2)?",
    "wm_csf": r"(white_matter|csf)",
    "wm_csf_full": r"(white_matter|csf)(_derivative1)?(_power2)?",
    "global_signal_full": r"global_signal(_derivative1)?(_power2)?",
    "compcor": rf"a_comp_cor_0[0-{_COMPONENTS - 1}]",
    "temporal_compcor": r"t_comp_cor_\d+",
    "high_pass": r"cosine\d+",
    "scrub": r"motion_outlier\d+",
    "non_steady_state": r"non_steady_state_outlier\d+",
    "ica_aroma": r"aroma_motion_\d+",
}
_MAY_BE_NONE = {"scrub", "non_steady_state", "high_pass"}  # fMRIPrep writes columns as needed


def choose_columns(table: Table, names: Sequence[str]) -> list[str]:
    """Return the columns that names, wildcards and strategies stand for, each once.

    Parameters
    ----------
    table : Table
        The confounds.
    names : sequence of str
        Columns, such as ``global_signal``; wildcards, such as ``a_comp_cor_0?``; or strategies, a
        key of ``STRATEGIES``. ``motion`` is ``motion24``.

    Raises
    ------
    StudyError
        When a name stands for no column. ``scrub``, ``non_steady_state`` and ``high_pass`` may:
        a run without outliers, or shorter than the filter, has no such columns.
    """
    chosen: list[str] = []
    for name in names:
        strategy = "motion24" if name == "motion" else name
        if strategy in STRATEGIES:
            matching = [c for c in table.columns if re.fullmatch(STRATEGIES[strategy], c)]
        else:
            matching = fnmatch.filter(table.columns, name)
        if not matching and strategy not in _MAY_BE_NONE:
            raise StudyError(
                "the confounds table lacks a column",
                expected=f"{name}, or one of the strategies {', '.join(STRATEGIES)}",
                found=", ".join(table.columns),
                where=table.path,
                remedy="choose other columns in preprocessing.cleaning.confounds",
            )
        chosen += [column for column in matching if column not in chosen]
    return chosen


def read_confounds(path: Path, names: Sequence[str], n_volumes: int) -> np.ndarray:
    """Return columns of a confounds table.

    Parameters
    ----------
    path : Path
        The table, one line per volume.
    names : sequence of str
        Columns, wildcards and strategies, see :func:`choose_columns`.
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
    chosen = choose_columns(table, names)
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
    # n/a counts as 0 in the sums: the mean is that of the known cells, and takes the others' place
    known = np.array([[bool(row[name]) for name in chosen] for row in table.rows], dtype=bool)
    known = known.reshape(values.shape)
    mean = values.sum(axis=0, where=known) / np.maximum(known.sum(axis=0), 1)
    return np.where(known, values, mean)
