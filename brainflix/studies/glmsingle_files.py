"""The files that GLMsingle leaves: betas a trial, and the design that they were estimated with.

Python writes ``TYPED_FITHRF_GLMDENOISE_RR.npy`` (a pickled dictionary) or ``.hdf5`` with
``betasmd``, MATLAB writes ``.mat`` with ``modelmd``. Betas are (x, y, z, trial), or (voxel, trial)
where the data were; trials are in the order of recording, run after run.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from brainflix.errors import StudyError
from brainflix.studies.array_files import Hdf5Rows, open_rows
from brainflix.studies.hdf5_files import dataset, open_hdf5
from brainflix.studies.pickles import read_object_npy

SUFFIXES = (".npy", ".hdf5", ".h5", ".mat")
BLOCK = 1 << 24  # values held at a time beside the result


class Betas:
    """The betas of one fit, of which trials are read when they are asked for.

    Parameters
    ----------
    path : Path
        The file of a model.

    Attributes
    ----------
    shape : tuple of int
        Shape of the grid, (x, y, z), or (voxel,).
    n_trials : int
        Trials of the fit.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.key = "modelmd" if path.suffix == ".mat" else "betasmd"
        self.source = open_rows(path, self.key).source
        if len(self.source.shape) not in (2, 4) or 0 in self.source.shape:
            raise StudyError(
                "betas of an unknown form",
                expected="(x, y, z, trial) or (voxel, trial)",
                found=self.source.shape,
                where=f"{path}, {self.key}",
            )
        shape = tuple(int(size) for size in self.source.shape[:-1])
        self.shape = shape[:1] if shape[1:] == (1, 1) else shape
        self.n_trials = int(self.source.shape[-1])

    def take(self, trials: np.ndarray, voxels: np.ndarray) -> np.ndarray:
        """Return some trials at some voxels, float32 (trial, voxel).

        Parameters
        ----------
        trials : ndarray of int, shape (trial,)
            In the order of recording.
        voxels : ndarray of int, shape (voxel,)
            Flat indices into the grid, in C order, ascending.
        """
        rows = np.empty((len(trials), len(voxels)), dtype=np.float32)
        if isinstance(self.source, Hdf5Rows):
            with open_hdf5(self.path) as file:
                found = dataset(file, self.key)
                if self.source.columns:  # stored as (trial, z, y, x)
                    for row, trial in enumerate(trials):
                        volume = found[int(trial)].T
                        rows[row] = volume.reshape(-1)[voxels]
                    return rows
                self._by_slabs(found, trials, voxels, rows)
        else:
            self._by_slabs(self.source, trials, voxels, rows)
        return rows

    def _by_slabs(
        self, values: np.ndarray, trials: np.ndarray, voxels: np.ndarray, rows: np.ndarray
    ) -> None:
        """Fill rows from slabs along the first axis, so that little else is held."""
        plane = int(np.prod(values.shape[1:-1]))
        step = max(BLOCK // (plane * values.shape[-1]), 1)
        for first in range(0, values.shape[0], step):
            ends = np.searchsorted(voxels, [first * plane, (first + step) * plane])
            part = slice(int(ends[0]), int(ends[1]))
            if part.start == part.stop:
                continue
            slab = np.asarray(values[first : first + step]).reshape(-1, values.shape[-1])
            rows[:, part] = slab[voxels[part] - first * plane][:, trials].T

    def finite(self) -> np.ndarray:
        """Return the voxels whose first and last beta are finite, as flat indices.

        Raises
        ------
        StudyError
            When there are none.
        """
        everywhere = np.arange(int(np.prod(self.shape)))
        rows = self.take(np.array([0, self.n_trials - 1]), everywhere)
        inside = np.flatnonzero(np.isfinite(rows).all(axis=0))
        if not len(inside):
            raise StudyError("all betas are missing", found="NaN everywhere", where=self.path)
        return inside


def stimulus_order(folder: Path) -> np.ndarray | None:
    """Return the condition of each trial from DESIGNINFO, int (trial,); None without the file.

    Raises
    ------
    StudyError
        When the file is damaged, or holds anything but data.
    """
    for suffix in SUFFIXES:
        path = folder / f"DESIGNINFO{suffix}"
        if path.is_file():
            break
    else:
        return None
    if suffix == ".npy":
        content = read_object_npy(path)
        order = content.get("stimorder") if isinstance(content, dict) else None
    else:
        source = open_rows(path, "stimorder").source
        order = source.whole() if isinstance(source, Hdf5Rows) else source
    try:
        numbers = np.asarray(order, dtype=np.float64).ravel()
    except (TypeError, ValueError) as error:
        raise StudyError(
            "the design holds no order of stimuli",
            expected="stimorder, a number a trial",
            found=type(order).__name__,
            where=path,
        ) from error
    return np.rint(numbers).astype(np.int64)
