"""BData files (bdpy, BrainDecoderToolbox2): one matrix, and which of its columns are what.

``dataSet`` is (sample, column). ``metaData`` has as many columns as it; each of its rows is named
by ``key``: a row such as ROI_V1 or VoxelData holds 1 where a column belongs to it and NaN or 0
elsewhere; a row such as voxel_x holds a value for each voxel.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from brainflix.errors import StudyError
from brainflix.formats.hdf5 import dataset, open_hdf5, take_rows


class BData:
    """An HDF5 or MATLAB file of the toolbox; of HDF5, rows are read when they are asked for.

    Parameters
    ----------
    path : Path
        A file .h5 or .mat.

    Raises
    ------
    StudyError
        When the file is damaged or not of this layout.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._held: np.ndarray | None = None
        keys, self.values, self.shape = self._matlab() if path.suffix == ".mat" else self._hdf5()
        self.keys = [key.strip() for key in keys]
        if self.values.shape != (len(self.keys), self.shape[1]):
            raise StudyError(
                "the metadata of a BData file do not fit its matrix",
                expected=f"({len(self.keys)} keys, {self.shape[1]} columns)",
                found=self.values.shape,
                where=path,
            )

    def _hdf5(self) -> tuple[list[str], np.ndarray, tuple[int, ...]]:
        with open_hdf5(self.path) as file:
            keys = [_text(key) for key in dataset(file, "metaData/key")[()].ravel()]
            values = np.asarray(dataset(file, "metaData/value")[()], dtype=np.float64)
            return keys, values, dataset(file, "dataSet").shape

    def _matlab(self) -> tuple[list[str], np.ndarray, tuple[int, ...]]:
        import scipy.io

        try:
            content = scipy.io.loadmat(self.path, variable_names=["dataSet", "metaData"])
            meta = content["metaData"][0, 0]
            keys = [_text(cell) for cell in meta["key"].ravel()]
            self._held = np.asarray(content["dataSet"], dtype=np.float64)
            return keys, np.asarray(meta["value"], dtype=np.float64), self._held.shape
        except Exception as error:  # scipy raises many kinds for a damaged file
            raise StudyError(
                "the BData file cannot be read",
                expected="dataSet, and metaData with key and value, in a MATLAB file before 7.3",
                found=f"{type(error).__name__}: {error}",
                where=self.path,
            ) from error

    def columns(self, key: str) -> np.ndarray:
        """Return the columns that a key marks, int (column,).

        Raises
        ------
        StudyError
            When the file has no such key, or it marks no column.
        """
        if key not in self.keys:
            raise StudyError(
                "the BData file lacks a key",
                expected=key,
                found=", ".join(self.keys),
                where=self.path,
            )
        row = self.values[self.keys.index(key)]
        columns = np.flatnonzero(np.nan_to_num(row) == 1)
        if not len(columns):
            raise StudyError("a key marks no column", found=key, where=self.path)
        return columns

    def value(self, key: str, columns: np.ndarray) -> np.ndarray | None:
        """Return what a key says of some columns, float64 (column,); None without the key."""
        return self.values[self.keys.index(key), columns] if key in self.keys else None

    def samples(self, key: str) -> np.ndarray:
        """Return the one column that a key marks, float64 (sample,)."""
        column = self.columns(key)[:1]
        if self._held is not None:
            return self._held[:, column[0]]
        with open_hdf5(self.path) as file:
            return np.asarray(dataset(file, "dataSet")[:, int(column[0])], dtype=np.float64)

    def take(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return some samples of some columns, (sample, column)."""
        if self._held is not None:
            return self._held[np.ix_(rows, columns)]
        with open_hdf5(self.path) as file:
            return take_rows(dataset(file, "dataSet"), rows)[:, columns]


def _text(value: Any) -> str:
    """Return text of a string, of bytes or of MATLAB's nested arrays."""
    while isinstance(value, np.ndarray):
        value = value.ravel()[0] if value.size else ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def voxel_grid(data: BData, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Return indices, int32 (voxel, 3), and the affine to mm of voxels whose mm are known.

    Returns
    -------
    tuple or None
        None when coordinates are missing or lie on no regular grid.
    """
    axes = [data.value(f"voxel_{axis}", columns) for axis in "xyz"]
    if any(axis is None or not np.isfinite(axis).all() for axis in axes):
        return None
    place = np.stack(axes, axis=1)  # type: ignore[arg-type]  # (voxel, 3), mm
    affine = np.eye(4)
    index = np.empty(place.shape, dtype=np.int32)
    # The voxels' mm along each axis are multiples of one step from the lowest; the step is the
    # smallest gap, and whatever does not come out as whole numbers is not a regular grid.
    for axis in range(3):
        levels = np.unique(place[:, axis])
        step = float(np.diff(levels).min()) if len(levels) > 1 else 1.0
        exact = (place[:, axis] - levels[0]) / step
        if step < 1e-3 or not np.allclose(exact, np.rint(exact), atol=1e-2):
            return None
        index[:, axis] = np.rint(exact)
        affine[axis, axis], affine[axis, 3] = step, levels[0]
    return index, affine
