"""Runs and trials of a cleaned artifact, in the order of recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import h5py
import numpy as np

from brainflix.artifacts.store import read_strings
from brainflix.errors import DataError
from brainflix.preprocessing.timing import ResponseWindows, response_windows


@dataclass(frozen=True)
class CleanedRun:
    """A run of cleaned.h5 without its rows.

    Parameters
    ----------
    name, split, group : str
        Its name, split and the label of its set of clips.
    index : int
        Its place in the order of recording.
    n_volumes : int
        Rows.
    repetition_time : float
        TR in s.
    onset : ndarray of float64, shape (event,)
        In s from the first kept volume; for trial-wise runs the number of the row.
    clips : tuple of str
        The clip of each event.
    trialwise : bool
        True when a row is a trial.
    """

    name: str
    split: str
    group: str
    index: int
    n_volumes: int
    repetition_time: float
    onset: np.ndarray
    clips: tuple[str, ...]
    trialwise: bool

    def windows(self, delay: float, window: int) -> ResponseWindows:
        """Return the rows of each event's response; a trial-wise run has one row for each event."""
        if self.trialwise:
            delay, window = 0.0, 1
        return response_windows(self.onset, delay, window, self.repetition_time, self.n_volumes)


def read_runs(file: h5py.File) -> list[CleanedRun]:
    """Return the runs of an open cleaned artifact in the order of recording."""
    runs = []
    for name, group in file["runs"].items():
        runs.append(
            CleanedRun(
                name=str(name),
                split=str(group.attrs["split"]),
                group=str(group.attrs["group"]),
                index=int(group.attrs["index"]),
                n_volumes=int(group["rows"].shape[0]),
                repetition_time=float(group.attrs["repetition_time"]),
                onset=group["onset"][()],
                clips=tuple(read_strings(group["clip"])),
                trialwise=bool(group.attrs["trialwise"]),
            )
        )
    return sorted(runs, key=lambda run: run.index)


def require_training(splits: Sequence[str], subject: str, where: object) -> None:
    """Raise :class:`DataError` when nothing may be fitted, because no run is a training run."""
    if "train" not in splits:
        raise DataError(
            "the subject has no training trials",
            expected="runs of split train",
            found=f"{len(splits)} test runs" if splits else "no runs",
            where=f"{subject}, {where}",
            remedy="mark training clips in stimuli.tsv, or leave the subject out of the study",
        )


def number_trials(runs: Sequence[CleanedRun]) -> list[np.ndarray]:
    """Return how often each trial's clip was shown before, an int64 array (event,) for each run."""
    counts: dict[str, int] = {}
    numbers = []
    for run in runs:
        repeats = np.zeros(len(run.clips), dtype=np.int64)
        for trial, clip in enumerate(run.clips):
            repeats[trial] = counts.get(clip, 0)
            counts[clip] = int(repeats[trial]) + 1
        numbers.append(repeats)
    return numbers
