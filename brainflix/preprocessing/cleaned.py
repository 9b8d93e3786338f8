"""Writing cleaned.h5: a run in memory at a time, and the same voxels in each run."""

from __future__ import annotations

from collections.abc import Sequence

import h5py
import numpy as np

from brainflix.artifacts.store import write_dataset
from brainflix.artifacts.voxels import write_space
from brainflix.config.studies import CleaningConfig
from brainflix.console import track
from brainflix.errors import DataError
from brainflix.formats.voxel_space import VoxelSpace
from brainflix.preprocessing.nuisance import (
    CleanedRows,
    TrialStatistics,
    clean_rows,
    nuisance_basis,
)
from brainflix.studies.study import Run, Study


class CleanedWriter:
    """Writes runs so that all of them hold the voxels that are usable in each training run.

    A voxel that is not finite or constant in a training run is dropped from every run. Test runs
    have no say in that: what is unusable in them alone is set to 0, the voxel's mean, and counted.
    Training runs are therefore written first; columns that a later one condemns are cut out of
    those already written.

    Parameters
    ----------
    file : h5py.File
        The new artifact.
    n_voxels : int
        Voxels of the study's mask.
    """

    def __init__(self, file: h5py.File, n_voxels: int) -> None:
        self.file = file
        self.keep = np.ones(n_voxels, dtype=bool)
        self.nonfinite = np.zeros(n_voxels, dtype=bool)
        self.constant = np.zeros(n_voxels, dtype=bool)
        self._written: dict[str, np.ndarray] = {}

    def condemn(self, nonfinite: np.ndarray, constant: np.ndarray, where: object) -> None:
        """Drop voxels, bool (voxel,) each, because of a training run."""
        self.nonfinite |= nonfinite
        self.constant |= constant & ~self.nonfinite
        self.keep &= ~(nonfinite | constant)
        if not self.keep.any():
            raise DataError(
                "no voxel is finite and varies in all training runs",
                expected="at least one",
                found=f"{int(self.nonfinite.sum())} not finite, {int(self.constant.sum())} "
                "constant; this run condemned the last",
                where=where,
                remedy="look at that run: it may be damaged, or its mask may lie outside the brain",
            )

    def write(self, run: Run, index: int, cleaned: CleanedRows, onset: np.ndarray) -> None:
        """Write a run's rows and events; ``onset`` is in s from its first kept row."""
        unusable = (cleaned.nonfinite | cleaned.constant) & self.keep
        if unusable[self.keep].all():
            raise DataError(
                "no voxel of a run is finite and varies",
                expected="at least one of those that the training runs leave",
                found=f"{int(unusable.sum())} that are not",
                where=f"{run.subject}, run {run.id}",
                remedy="look at that run; leave it out if it is damaged",
            )
        group = self.file.create_group(f"runs/{run.id}")
        rows = cleaned.rows if self.keep.all() else cleaned.rows[:, self.keep]
        write_dataset(group, "rows", rows, ("volume", "voxel"))
        self._written[run.id] = self.keep.copy()
        write_dataset(group, "onset", onset, ("event",), units="s")
        durations = np.array([event.duration for event in run.events], dtype=np.float64)
        write_dataset(group, "duration", durations, ("event",), units="s")
        write_dataset(group, "clip", [event.clip for event in run.events], ("event",))
        group.attrs.update(
            split=run.split,
            group=run.group,
            repeat=run.repeat,
            index=index,
            repetition_time=run.repetition_time,
            trialwise=run.trialwise,
            filled_voxels=int(unusable.sum()),
        )

    def finish(self, voxels: VoxelSpace) -> None:
        """Cut condemned columns out of earlier runs, and write where the voxels lie."""
        for name, written in self._written.items():
            if (written != self.keep).any():
                group = self.file[f"runs/{name}"]
                rows = group["rows"][()][:, self.keep[written]]
                del group["rows"]
                write_dataset(group, "rows", rows, ("volume", "voxel"))
        write_space(self.file, voxels, self.keep)
        self.file.attrs.update(
            n_voxels=int(self.keep.sum()),
            dropped_voxels=int((~self.keep).sum()),
            dropped_nonfinite=int(self.nonfinite.sum()),
            dropped_constant=int(self.constant.sum()),
        )


def training_first(runs: Sequence[Run]) -> list[tuple[int, Run]]:
    """Return runs with their place in the order of recording, training runs in front."""
    return sorted(enumerate(runs), key=lambda pair: (pair[1].split != "train", pair[0]))


def trimmed_onsets(run: Run, options: CleaningConfig) -> np.ndarray:
    """Return the onsets in s from the first kept volume, float64 (event,).

    Raises
    ------
    DataError
        When trimming leaves no volume, or cuts into the stimuli.
    """
    kept = run.n_volumes - options.trim_start - options.trim_end
    onset = np.array([event.onset for event in run.events], dtype=np.float64)
    onset -= run.start_time + options.trim_start * run.repetition_time
    end = max(o + event.duration for o, event in zip(onset, run.events, strict=True))
    late = end >= (kept + 1) * run.repetition_time
    if kept < 1 or late or onset.min() <= -run.repetition_time:
        raise DataError(
            "trimming cuts into a run's stimuli",
            expected=f"stimuli within the {max(kept, 0)} volumes that are kept",
            found=f"stimuli from {onset.min():g} to {end:g} s of "
            f"{max(kept, 0) * run.repetition_time:g} s",
            where=f"{run.subject}, run {run.id}",
            remedy="lower preprocessing.cleaning.trim_start or trim_end",
        )
    return onset


def write_volumes(
    study: Study, runs: Sequence[Run], options: CleaningConfig, writer: CleanedWriter
) -> None:
    """Clean runs of volumes, one at a time; nothing of a run outlives it."""
    for index, run in track(training_first(runs), f"clean {runs[0].subject}", len(runs)):
        cleaned = _clean_run(study, run, options)
        if run.split == "train":
            where = f"{run.subject}, run {run.id}"
            writer.condemn(cleaned.nonfinite, cleaned.constant, where)
        writer.write(run, index, cleaned, trimmed_onsets(run, options))
        del cleaned


def _clean_run(study: Study, run: Run, options: CleaningConfig) -> CleanedRows:
    trimmed_onsets(run, options)  # refused before the run is read
    kept = slice(options.trim_start, run.n_volumes - options.trim_end)
    rows = study.load(run)[kept]
    confounds = study.confounds(run, options.confounds)[kept] if options.confounds else None
    where = f"{run.subject}, run {run.id}"
    basis = nuisance_basis(len(rows), options.detrend_order, confounds, where)
    return clean_rows(rows, basis, options.standardize)


def write_trials(
    study: Study, runs: Sequence[Run], options: CleaningConfig, writer: CleanedWriter
) -> None:
    """Scale runs of single-trial responses by the statistics of the training trials."""
    statistics = TrialStatistics(len(study.voxels(runs[0].subject)))
    for run in runs:
        if run.split == "train":
            statistics.add(study.load(run))
    writer.condemn(statistics.nonfinite, statistics.constant, f"{runs[0].subject}, training trials")
    for index, run in training_first(runs):
        cleaned = statistics.scale(study.load(run), options.standardize)
        onset = np.array([event.onset for event in run.events], dtype=np.float64)
        writer.write(run, index, cleaned, onset)
    for name, values in (("mean", statistics.mean), ("deviation", statistics.deviation)):
        write_dataset(writer.file, f"training/{name}", values[writer.keep], ("voxel",))
