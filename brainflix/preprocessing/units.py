"""Independent units in which reproducibility is measured, found among the training trials.

A unit is one observation of the t-test: the correlation between repeats of one set of clips.
Units share no clip (a movie segment each, as in Wen et al. 2018), or, where fewer than three sets
of clips recur, no repeat: disjoint pairs of repeats of the same clips. In either case no response
enters two units, so that without a stimulus-driven signal their Fisher z are independent with
mean 0, which is what the t-test assumes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import h5py
import numpy as np

from brainflix.preprocessing.reliability import OneSampleT, mean_pair_z
from brainflix.preprocessing.trials import CleanedRun, number_trials

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
    """What the training repeats say about each voxel.

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
    rows = tuple(tuple(trials.get(k) for trials in clips.values()) for k in repeats)
    pairs = tuple(
        (a, b)
        for a, b in itertools.combinations(range(len(rows)), 2)
        if sum(x is not None and y is not None for x, y in zip(rows[a], rows[b], strict=True))
        >= MIN_CLIPS
    )
    return Unit(group, rows, pairs)


def unit_responses(file: h5py.File, unit: Unit, voxels: slice) -> Iterator[np.ndarray]:
    """Yield each repeat's responses, float32 (clip, voxel), NaN where a clip was not shown.

    Each run is read once, in one piece, for the voxels asked for.
    """
    for clips in unit.rows:
        shown: dict[str, list[int]] = {}
        for clip, place in enumerate(clips):
            if place is not None:
                shown.setdefault(place[0], []).append(clip)
        values = None
        for name, places in shown.items():
            index = np.stack([clips[clip][1] for clip in places])  # type: ignore[index]
            responses = _window_means(file[f"runs/{name}/rows"], index, voxels)
            if len(places) == len(clips):
                values = responses
                continue
            if values is None:
                values = np.full((len(clips), responses.shape[1]), np.nan, dtype=np.float32)
            values[places] = responses
        if values is not None:
            yield values


def _window_means(rows: h5py.Dataset, index: np.ndarray, voxels: slice) -> np.ndarray:
    """Return the mean over each window of volumes, float32 (trial, voxel).

    Parameters
    ----------
    rows : h5py.Dataset
        A run, (volume, voxel).
    index : ndarray of int, shape (trial, window)
        The volumes of each trial.
    voxels : slice
        The voxels that are read.
    """
    low = int(index.min())
    block = rows[low : int(index.max()) + 1, voxels]
    index = index - low
    if index.shape[1] == 1 and np.array_equal(index[:, 0], np.arange(len(block))):
        return block
    means = block[index[:, 0]]
    for place in range(1, index.shape[1]):
        means += block[index[:, place]]
    means /= np.float32(index.shape[1])
    return means


def gather_evidence(
    file: h5py.File, runs: Sequence[CleanedRun], delay: float, window: int
) -> Evidence:
    """Measure how well the training responses of each voxel recur.

    One unit is in memory at a time, and of it so many voxels as ``HELD`` bytes allow; where that is
    all of them, each run is read once, from its beginning to its end.

    Parameters
    ----------
    file : h5py.File
        An open cleaned artifact.
    runs : sequence of CleanedRun
        Its training runs.
    delay, window : float, int
        Which volumes make a response.
    """
    n_voxels = file["position"].shape[0]
    units, kind = find_units(runs, delay, window)
    if len(units) < 2:
        nothing = np.full(n_voxels, np.nan)
        return Evidence(nothing, nothing, nothing, 0, kind)
    size = max(sum(len(clips) for clips in unit.rows) for unit in units)
    step = max(HELD // (4 * size), 1)
    parts = []
    for start in range(0, n_voxels, step):
        voxels = slice(start, min(start + step, n_voxels))
        test = OneSampleT(voxels.stop - start)
        for unit in units:
            test.add(mean_pair_z(list(unit_responses(file, unit, voxels)), unit.pairs))
        parts.append((test.statistic(), test.p_value(), test.mean))
    statistic, p, mean = (np.concatenate(values) for values in zip(*parts, strict=True))
    return Evidence(statistic, p, mean, len(units) - 1, kind)
