"""Independent units in which reproducibility is measured, found among the training trials.

A unit is one observation of the t-test: the correlation between repeats of one set of clips.
Units share no clip (each is a movie segment, as in Wen et al. 2018), or, where fewer than three
sets of clips recur, no repeat: disjoint pairs of repeats of the same clips. In either case no
response enters two units, so that without a stimulus-driven signal their Fisher z are independent
with mean 0, which is what the t-test assumes.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import h5py
import numpy as np

from brainflix.preprocessing.reliability import OneSampleT, mean_pair_z
from brainflix.preprocessing.runs import CleanedRun, number_trials

MIN_CLIPS = 4  # a Fisher z of fewer has no finite variance
MIN_SETS = 3
HELD = 256 << 20  # bytes of responses of a unit that are held at a time
Kind = Literal["sets of clips", "pairs of repeats"]


@dataclass(frozen=True)
class Unit:
    """One observation of the t-test.

    Parameters
    ----------
    group : str
        The set of clips.
    rows : tuple of tuple of (str, ndarray) or None
        For each repeat and clip, the run and the rows that hold the response; None where that
        repeat of the clip was not recorded.
    pairs : tuple of (int, int)
        Repeats that are correlated.
    """

    group: str
    rows: tuple[tuple[tuple[str, np.ndarray] | None, ...], ...]
    pairs: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Evidence:
    """How reliably each voxel responds in the training repeats.

    Parameters
    ----------
    t, p, mean_z : ndarray of float64, shape (voxel,)
        Statistic and one-sided P of the t-test, and the mean Fisher z that it tests.
    dof : int
        Degrees of freedom; 0 when there were too few repeats, and the arrays are NaN.
    kind : str
        What a unit is.
    """

    t: np.ndarray
    p: np.ndarray
    mean_z: np.ndarray
    dof: int
    kind: str


def find_units(runs: Sequence[CleanedRun], delay: float, window: int) -> tuple[list[Unit], Kind]:
    """Return the units among training runs and what they are.

    A clip belongs to the set that the run of its first presentation shows; later presentations
    may be spread over other runs.

    Parameters
    ----------
    runs : sequence of CleanedRun
        Training runs in the order of recording.
    delay : float
        Delay in s.
    window : int
        Volumes that are averaged.
    """
    shown = _presentations(runs, delay, window)
    sets = [_unit(group, clips, None) for group, clips in shown.items()]
    found = [unit for unit in sets if unit.pairs]
    if len(found) >= MIN_SETS:
        return found, "sets of clips"
    # Too few sets of clips recur: repeats 0 and 1, 2 and 3, ... of each set are units of their own.
    disjoint = []
    for group, clips in shown.items():
        n_repeats = max(len(trials) for trials in clips.values())
        for first in range(0, n_repeats - 1, 2):
            disjoint.append(_unit(group, clips, (first, first + 1)))
    disjoint = [unit for unit in disjoint if unit.pairs]
    if len(disjoint) > len(found):
        return disjoint, "pairs of repeats"
    return found, "sets of clips"


def _presentations(
    runs: Sequence[CleanedRun], delay: float, window: int
) -> dict[str, dict[str, dict[int, tuple[str, np.ndarray]]]]:
    """Return set of clips -> clip -> repeat -> (run, rows of its response)."""
    group_of: dict[str, str] = {}
    shown: dict[str, dict[str, dict[int, tuple[str, np.ndarray]]]] = {}
    for run, repeats in zip(runs, number_trials(runs), strict=True):
        index = run.windows(delay, window).index
        for trial, clip in enumerate(run.clips):
            group = group_of.setdefault(clip, run.group)
            trials = shown.setdefault(group, {}).setdefault(clip, {})
            trials[int(repeats[trial])] = (run.name, index[trial])
    return shown


def _unit(
    group: str,
    clips: dict[str, dict[int, tuple[str, np.ndarray]]],
    only: tuple[int, int] | None,
) -> Unit:
    """Return a unit of all pairs of repeats, or of one; pairs with too few clips are left out."""
    n_repeats = max(len(trials) for trials in clips.values())
    repeats = range(n_repeats) if only is None else only
    # (repeat, clip): the run and the rows of its response.
    rows = tuple(tuple(trials.get(k) for trials in clips.values()) for k in repeats)
    # Pairs of repeats that share enough clips for a Fisher z.
    pairs = tuple(
        (a, b)
        for a, b in itertools.combinations(range(len(rows)), 2)
        if sum(x is not None and y is not None for x, y in zip(rows[a], rows[b], strict=True))
        >= MIN_CLIPS
    )
    return Unit(group, rows, pairs)


class RepeatResponses:
    """Responses of one repeat of a unit, from the volumes of the runs that showed its clips.

    Parameters
    ----------
    clips : sequence of (str, ndarray) or None
        The run and the volumes of each clip, None for one that was not recorded.
    pieces : mapping of str to (ndarray, int)
        The volumes of each run that are held, (volume, voxel), and the number of the first.
    """

    def __init__(
        self,
        clips: Sequence[tuple[str, np.ndarray] | None],
        pieces: Mapping[str, tuple[np.ndarray, int]],
    ) -> None:
        self.present = np.array([place is not None for place in clips])
        self.n_voxels = next(iter(pieces.values()))[0].shape[1]
        self._parts = []
        for name, (rows, low) in pieces.items():
            places = [k for k, place in enumerate(clips) if place is not None and place[0] == name]
            index = np.stack([clips[k][1] for k in places]) - low  # type: ignore[index]
            self._parts.append((np.array(places), rows, index))

    def block(self, part: slice) -> np.ndarray:
        """Return the sum over each window of volumes of some voxels, (clip, voxel).

        A correlation is the same of sums and of means.
        """
        # Usually one run shows all clips; otherwise each run fills in its own.
        places, rows, index = self._parts[0]
        if len(places) == len(self.present):
            return _window_sums(rows[:, part], index)
        values = np.zeros((len(self.present), part.stop - part.start), dtype=np.float32)
        for places, rows, index in self._parts:
            values[places] = _window_sums(rows[:, part], index)
        return values


def _window_sums(rows: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return the sum of the rows of each window, (trial, voxel); a view where it is one row each.

    Parameters
    ----------
    rows : ndarray of float32, shape (volume, voxel)
        Volumes.
    index : ndarray of int, shape (trial, window)
        The volumes of each trial; those that follow each other are not copied first.
    """
    # Windows that move by one volume from trial to trial are slices, which are added without a
    # copy; the trials from the first gap on are gathered by index.
    first, length = index[:, 0], _run_length(index[:, 0])
    if index.shape[1] == 1:
        return rows[first[0] : first[0] + length] if length == len(first) else rows[first]
    sums = np.empty((len(index), rows.shape[1]), dtype=np.float32)
    length = min(length, _run_length(index[:, 1]))
    second = index[:, 1]
    np.add(
        rows[first[0] : first[0] + length],
        rows[second[0] : second[0] + length],
        out=sums[:length],
    )
    if length < len(index):
        np.add(rows[first[length:]], rows[second[length:]], out=sums[length:])
    for column in index.T[2:]:
        length = _run_length(column)
        sums[:length] += rows[column[0] : column[0] + length]
        sums[length:] += rows[column[length:]]
    return sums


def _run_length(index: np.ndarray) -> int:
    """Return how many of the first numbers count up by one."""
    steps = index != index[0] + np.arange(len(index))
    return int(steps.argmax()) if steps.any() else len(index)


class UnitReader:
    """Reads the volumes of units from cleaned.h5, each run once, into buffers that are reused.

    Parameters
    ----------
    file : h5py.File
        An open cleaned artifact.
    voxels : slice
        The voxels that are read.
    """

    def __init__(self, file: h5py.File, voxels: slice) -> None:
        self.file, self.voxels = file, voxels
        self._buffers: dict[int, np.ndarray] = {}

    def read(self, unit: Unit) -> list[RepeatResponses]:
        """Return the responses of each repeat; they are valid until the next unit is read."""
        repeats, used = [], 0
        # For each repeat, the first and the last volume needed from each run.
        for clips in unit.rows:
            spans: dict[str, tuple[int, int]] = {}
            for name, index in (place for place in clips if place is not None):
                low, high = spans.get(name, (int(index.min()), int(index.max())))
                spans[name] = (min(low, int(index.min())), max(high, int(index.max())))
            pieces = {}
            for name, (low, high) in spans.items():
                pieces[name] = (self._rows(used, name, low, high + 1), low)
                used += 1
            repeats.append(RepeatResponses(clips, pieces))
        return repeats

    def expect(self, unit: Unit) -> None:
        """Let the kernel read the runs of a unit while another one is worked on."""
        if not hasattr(os, "posix_fadvise"):
            return
        names = {place[0] for clips in unit.rows for place in clips if place is not None}
        with open(self.file.filename, "rb") as stream:
            for name in names:
                rows = self.file[f"runs/{name}/rows"]
                offset = rows.id.get_offset()  # None where rows are not in one piece
                if offset is not None:
                    size = rows.size * rows.dtype.itemsize
                    os.posix_fadvise(stream.fileno(), offset, size, os.POSIX_FADV_WILLNEED)

    def _rows(self, slot: int, name: str, low: int, high: int) -> np.ndarray:
        width = self.voxels.stop - self.voxels.start
        buffer = self._buffers.get(slot)
        if buffer is None or len(buffer) < high - low:
            buffer = self._buffers[slot] = np.empty((high - low, width), dtype=np.float32)
        rows = buffer[: high - low]
        self.file[f"runs/{name}/rows"].read_direct(rows, np.s_[low:high, self.voxels])
        return rows


def gather_evidence(
    file: h5py.File, runs: Sequence[CleanedRun], delay: float, window: int
) -> Evidence:
    """Measure how well the training responses of each voxel recur.

    One unit is in memory at a time, for as many voxels as fit in ``HELD`` bytes; where these are
    all voxels, each run is read once, from beginning to end.

    Parameters
    ----------
    file : h5py.File
        An open cleaned artifact.
    runs : sequence of CleanedRun
        Its training runs.
    delay, window : float, int
        Which volumes are averaged to a response.
    """
    n_voxels = file["position"].shape[0]
    units, kind = find_units(runs, delay, window)
    if len(units) < 2:
        nothing = np.full(n_voxels, np.nan)
        return Evidence(nothing, nothing, nothing, 0, kind)
    # As many voxels at a time as keep the largest unit within memory: of each presentation about
    # one volume of 4 bytes is held.
    size = max(sum(len(clips) for clips in unit.rows) for unit in units)
    step = max(HELD // (4 * size), 1)
    parts = []
    for start in range(0, n_voxels, step):
        voxels = slice(start, min(start + step, n_voxels))
        test, reader = OneSampleT(voxels.stop - start), UnitReader(file, voxels)
        # Each unit is one observation of every voxel's t-test; the next one is read ahead.
        for unit, following in zip(units, [*units[1:], None], strict=True):
            repeats = reader.read(unit)
            if following is not None:
                reader.expect(following)
            test.add(mean_pair_z(repeats, unit.pairs))
        parts.append((test.statistic(), test.p_value(), test.mean))
    statistic, p, mean = (np.concatenate(values) for values in zip(*parts, strict=True))
    return Evidence(statistic, p, mean, len(units) - 1, kind)
