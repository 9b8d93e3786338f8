"""The files that GLMsingle writes: betas per trial, and the design that they were estimated with.

Python writes ``TYPED_FITHRF_GLMDENOISE_RR.npy`` (a pickled dictionary) or ``.hdf5`` with
``betasmd``, MATLAB writes ``.mat`` with ``modelmd``. Betas are (x, y, z, trial), or (voxel, trial)
where the data were; trials are in the order of recording, run after run.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from brainflix.errors import StudyError
from brainflix.formats.arrays import Hdf5Rows, open_rows
from brainflix.formats.hdf5 import dataset, open_hdf5
from brainflix.formats.pickle import read_object_npy
from brainflix.formats.trial_rows import release_pages, transposed

SUFFIXES = (".npy", ".hdf5", ".h5", ".mat")
BLOCK = 1 << 24  # values held at a time in addition to the result


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

    def rows(self, voxels: np.ndarray) -> BetaRows:
        """Return the betas of some voxels, flat indices in C order, ascending, by trial."""
        return BetaRows(self, voxels)

    def slabs(self, voxels: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield places among the voxels, and their betas (voxel, trial), so that little is held."""
        with contextlib.ExitStack() as stack:
            values: Any = self.source
            if isinstance(self.source, Hdf5Rows):
                values = dataset(stack.enter_context(open_hdf5(self.path)), self.key)
            # Slabs along x: flat indices in C order of a slab are one stretch of the sorted voxels.
            plane = int(np.prod(values.shape[1:-1]))
            step = max(BLOCK // (plane * values.shape[-1]), 1)
            for first in range(0, values.shape[0], step):
                ends = np.searchsorted(voxels, [first * plane, (first + step) * plane])
                part = slice(int(ends[0]), int(ends[1]))
                if part.start < part.stop:
                    slab = np.asarray(values[first : first + step])
                    yield part, slab.reshape(-1, slab.shape[-1])[voxels[part] - first * plane]
                    release_pages(slab)

    def volumes(self, trials: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the betas of trials of a file that has them one after the other, flat."""
        with open_hdf5(self.path) as file:
            betas = dataset(file, self.key)  # (trial, z, y, x)
            for trial in trials:
                yield betas[int(trial)].T.reshape(-1)

    @property
    def by_trial(self) -> bool:
        """Whether a trial's betas lie together in the file."""
        return isinstance(self.source, Hdf5Rows) and self.source.columns

    def finite(self) -> np.ndarray:
        """Return the voxels whose first and last beta are finite, as flat indices.

        Raises
        ------
        StudyError
            When all betas are missing.
        """
        ends = np.array([0, self.n_trials - 1])
        if self.by_trial:
            rows = np.stack(list(self.volumes(ends)))  # (trial, voxel)
        else:  # (voxel, trial) -> (trial, voxel)
            everywhere = np.arange(int(np.prod(self.shape)))
            rows = np.concatenate([slab[:, ends] for _, slab in self.slabs(everywhere)]).T
        inside = np.flatnonzero(np.isfinite(rows).all(axis=0))
        if not len(inside):
            raise StudyError("all betas are missing", found="NaN everywhere", where=self.path)
        return inside


class BetaRows:
    """Betas of some voxels by trial: read from a file that has them so, else turned once."""

    def __init__(self, betas: Betas, voxels: np.ndarray) -> None:
        self.betas, self.voxels = betas, voxels

    @functools.cached_property
    def _transposed(self) -> np.ndarray:
        return transposed(self.betas.slabs(self.voxels), self.betas.n_trials, len(self.voxels))

    def take(self, trials: np.ndarray) -> np.ndarray:
        """Return some trials, in the order of recording, float32 (trial, voxel)."""
        if not self.betas.by_trial:
            return self._transposed[trials]
        rows = np.empty((len(trials), len(self.voxels)), dtype=np.float32)
        for row, volume in zip(rows, self.betas.volumes(trials), strict=True):
            row[:] = volume[self.voxels]
        return rows


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
            expected="stimorder, one number per trial",
            found=type(order).__name__,
            where=path,
        ) from error
    return np.rint(numbers).astype(np.int64)
