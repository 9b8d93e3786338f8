"""Responses as rows (trial, voxel), whatever the order of the axes in the file.

Files hold betas as (trial, voxel), (clip, repeat, voxel) or with the voxels in front. A row is read
when it is asked for, from a mapped or an HDF5 file; an array whose voxels are not its last axis is
transposed once, slab by slab, into memory or a temporary file.
"""

from __future__ import annotations

import math
import mmap
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import numpy as np

from brainflix.errors import StudyError
from brainflix.formats.arrays import ArrayRows, Hdf5Rows

Axis = Literal["clip", "repeat", "trial", "voxel"]
HELD = 1 << 30  # bytes of transposed rows that are held in memory; more go to a temporary file
BLOCK = 1 << 24  # values that are looked at together
COPIED = 1 << 20  # values that are copied together while parts are joined
STRETCHES, WIDTH = 4, 64  # stretches of voxels, and their width, that show absent trials


def release_pages(values: np.ndarray) -> None:
    """Give back the memory of a mapped file; values used again are read from the file again.

    Pages that were touched count as this process's memory until the system is short of it, which a
    limit on a job's memory does not wait for.
    """
    owner: Any = values
    while owner is not None and not isinstance(owner, mmap.mmap):
        owner = getattr(owner, "base", None)
    if owner is not None and hasattr(mmap, "MADV_DONTNEED"):
        owner.madvise(mmap.MADV_DONTNEED)


def transposed(
    slabs: Iterable[tuple[slice, np.ndarray]], n_trials: int, n_voxels: int
) -> np.ndarray:
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
        rows[:, part] = slab.T  # (voxel, trial) -> (trial, voxel)
    return rows


class TrialRows:
    """Responses as rows (trial, voxel) of an array with its axes in any order.

    Parameters
    ----------
    rows : ArrayRows
        The array.
    axes : sequence of str
        What its axes are: "trial" and "voxel", or "clip", "repeat" and "voxel". Trials are then
        the repeats of the first clip, those of the second, and so on.
    where : str
        The array's place, for error messages.

    Attributes
    ----------
    lead : tuple of int
        (trial,) or (clip, repeat): the shape that the trials have in the file.
    n_voxels : int
        Length of a row.

    Raises
    ------
    StudyError
        When the array has another number of axes, or an empty one.
    """

    def __init__(self, rows: ArrayRows, axes: Sequence[Axis], where: str) -> None:
        if len(axes) != len(rows.shape) or 0 in rows.shape:
            raise StudyError(
                "responses of an unknown form",
                expected=f"({', '.join(axes)}), each of them at least 1 long",
                found=rows.shape,
                where=where,
                remedy="say by the option axes what the axes of the array are",
            )
        self.where = where
        known: tuple[Axis, ...] = ("clip", "trial", "repeat", "voxel")
        order = [list(axes).index(axis) for axis in known if axis in axes]
        self.lead = tuple(rows.shape[place] for place in order[:-1])
        self.n_voxels = rows.shape[order[-1]]
        self._rows, self._order, self._stored = rows, order, self.lead
        if order[-1] != len(axes) - 1:  # the voxels are not the last axis
            self._rows = ArrayRows(self._transposed(rows))
            self._order, self._stored = [0, 1], (len(self),)

    def _transposed(self, rows: ArrayRows) -> np.ndarray:
        """Return rows (trial, voxel) of an array that has its voxels first or in between."""
        source = rows.source
        step = max(BLOCK // len(self), 1)
        parts = [
            slice(first, min(first + step, self.n_voxels))
            for first in range(0, self.n_voxels, step)
        ]
        if isinstance(source, Hdf5Rows) and not source.columns and self._order[-1] == 0:
            lead = [place - 1 for place in self._order[:-1]]
            slabs = (
                (part, _flat(source.take(np.arange(part.start, part.stop)), lead)) for part in parts
            )
            return transposed(slabs, len(self), self.n_voxels)
        values = source.whole() if isinstance(source, Hdf5Rows) else source
        moved = np.transpose(values, self._order)  # voxels last
        pieces = ((part, moved[..., part].reshape(len(self), -1).T) for part in parts)
        return transposed(pieces, len(self), self.n_voxels)

    def __len__(self) -> int:
        return math.prod(self.lead)

    def take(self, index: np.ndarray, /) -> np.ndarray:
        """Return the responses to some trials, (trial, voxel), in the file's dtype."""
        places = np.unravel_index(np.asarray(index, dtype=np.int64), self._stored)
        source = self._rows.source
        if not isinstance(source, Hdf5Rows):
            taken = np.transpose(source, self._order)[places]
            release_pages(source)
            return taken
        if len(places) == 1:
            return source.take(places[0])
        # the file may hold repeats in front of clips: one index for each axis, in its order
        return source.take_each([places[self._order.index(axis)] for axis in range(len(places))])

    def recorded(self) -> np.ndarray:
        """Return which trials hold any number, bool (trial,); absent repeats are NaN throughout.

        Of a mapped file a few stretches of voxels are read, and whole rows only where these are NaN
        throughout, as they can be in a medial wall.
        """
        present = np.zeros(len(self), dtype=bool)
        source = self._rows.source
        if not isinstance(source, Hdf5Rows):
            present = self._glimpsed(source).reshape(-1)
        unclear = np.flatnonzero(~present)
        step = max(BLOCK // self.n_voxels, 1)
        for first in range(0, len(unclear), step):
            chosen = unclear[first : first + step]
            present[chosen] = ~np.isnan(self.take(chosen)).all(axis=1)
        return present

    def _glimpsed(self, source: np.ndarray) -> np.ndarray:
        """Return which trials hold a number in a few stretches of voxels, bool, shape ``lead``."""
        moved = np.transpose(source, self._order)  # voxels last
        present = np.zeros(moved.shape[:-1], dtype=bool)
        # The system maps more than the pages asked for, so they are given back every few rows.
        step = max(COPIED * len(moved) // moved.size, 1)
        starts = np.linspace(0, max(self.n_voxels - WIDTH, 0), STRETCHES).astype(int)
        for first in range(0, len(moved), step):
            block = slice(first, first + step)
            for start in starts:
                present[block] |= ~np.isnan(moved[block, ..., start : start + WIDTH]).all(axis=-1)
            release_pages(source)
        return present


def _flat(slab: np.ndarray, lead: Sequence[int]) -> np.ndarray:
    """Return (voxel, trial) of a slab with its voxels first and its trials on the axes ``lead``."""
    return np.transpose(slab, [0, *(place + 1 for place in lead)]).reshape(len(slab), -1)


class JoinedRows:
    """Responses whose voxels lie in several arrays, such as one for each hemisphere or region.

    Parameters
    ----------
    parts : sequence of TrialRows
        Arrays of the same trials, side by side along the voxels.

    Raises
    ------
    StudyError
        When the parts differ in their trials.
    """

    def __init__(self, parts: Sequence[TrialRows]) -> None:
        self.parts = tuple(parts)
        if len({part.lead for part in parts}) != 1:
            raise StudyError(
                "parts of the responses do not fit each other",
                expected="the same clips and repeats in each part",
                found="; ".join(f"{part.where}: {part.lead}" for part in parts),
                where=parts[0].where if parts else "",
            )
        self.lead = parts[0].lead

    @property
    def n_voxels(self) -> int:
        """Voxels of all parts together; a voxel that lies in two of them counts twice."""
        return sum(part.n_voxels for part in self.parts)

    def __len__(self) -> int:
        return math.prod(self.lead)

    def take(self, index: np.ndarray, /) -> np.ndarray:
        """Return the responses to some trials, float32 (trial, voxel)."""
        rows = np.empty((len(index), self.n_voxels), dtype=np.float32)
        for first, last, part in self._columns():
            step = max(COPIED // part.n_voxels, 1)
            for start in range(0, len(index), step):
                block = slice(start, start + step)
                with np.errstate(over="ignore"):  # beyond float32: infinite
                    rows[block, first:last] = part.take(index[block])
        return rows

    def _columns(self) -> Iterator[tuple[int, int, TrialRows]]:
        first = 0
        for part in self.parts:
            yield first, first + part.n_voxels, part
            first += part.n_voxels

    def recorded(self) -> np.ndarray:
        """Return which trials hold any number in any part, bool (trial,)."""
        return np.logical_or.reduce([part.recorded() for part in self.parts])
