"""What the fitting stages read: a subject's trials, a study's clips and a target's values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from brainflix.artifacts.stimuli import Array, Clips, Labels
from brainflix.artifacts.store import open_artifact, read_strings
from brainflix.artifacts.voxels import read_space
from brainflix.errors import DataError
from brainflix.formats.voxel_space import VoxelSpace

Window = Literal["flatten", "mean"]


@dataclass(frozen=True)
class Trials:
    """A subject's trials.

    Parameters
    ----------
    subject : str
        "study/subject".
    responses : ndarray of float32, shape (trial, window, voxel)
        In z.
    clip, run, split : ndarray of str, shape (trial,)
        The clip shown, the run, and the clip's split.
    repeat : ndarray of int64, shape (trial,)
        How often the clip had been shown before.
    voxels : VoxelSpace, optional
        Where the voxels lie.

    Raises
    ------
    DataError
        When the lengths differ or a response is not finite.
    """

    subject: str
    responses: Array
    clip: Labels
    repeat: NDArray[np.int64]
    run: Labels
    split: Labels
    voxels: VoxelSpace | None = None

    def __post_init__(self) -> None:
        if self.responses.ndim != 3 or 0 in self.responses.shape:
            raise DataError(
                f"{self.subject} has no responses",
                expected="at least one trial and one voxel",
                found=f"(trial, window, voxel) = {self.responses.shape}",
                remedy="loosen preprocessing.selection, or leave the subject out",
            )
        counts = [len(part) for part in (self.clip, self.repeat, self.run, self.split)]
        if set(counts) != {len(self.responses)}:
            raise DataError(
                f"trials of {self.subject} lack labels",
                expected=f"{len(self.responses)} of each",
                found=f"{counts} of clip, repeat, run, split",
            )
        if not np.isfinite(self.responses).all():
            bad = int((~np.isfinite(self.responses).all(axis=(1, 2))).sum())
            raise DataError(
                f"responses of {self.subject} are not finite",
                expected="finite numbers",
                found=f"{bad} trials with NaN or infinity",
                remedy="run the stages clean and extract again",
            )

    def features(self, window: Window = "flatten") -> Array:
        """Return the responses as rows, float32 (trial, feature).

        Parameters
        ----------
        window : {"flatten", "mean"}
            Put the volumes of the window side by side, or average them.
        """
        if window == "mean":
            return self.responses.mean(axis=1, dtype=np.float64).astype(np.float32)
        return self.responses.reshape(len(self.responses), -1)  # -> (trial, window * voxel)

    @property
    def study(self) -> str:
        """The study's name."""
        return self.subject.partition("/")[0]

    @property
    def training(self) -> NDArray[np.bool_]:
        """Which trials are training trials, shape (trial,)."""
        return self.split == "train"

    def with_split(self, split: Labels) -> Trials:
        """Return the same trials under another split, shape (trial,)."""
        return replace(self, split=split)


def read_trials(path: Path, subject: str, voxels: Path | None = None) -> Trials:
    """Read a "responses" artifact.

    Parameters
    ----------
    path : Path
        The artifact.
    subject : str
        "study/subject", for messages and results.
    voxels : Path, optional
        The subject's "voxels" artifact, which says where the voxels lie.
    """
    with open_artifact(path, "responses") as file:
        responses = file["responses"][()]  # (trial, window, voxel)
        clip, run, split = (np.array(read_strings(file[key])) for key in ("clip", "run", "split"))
        repeat = np.asarray(file["repeat"][()], dtype=np.int64)
        chosen = np.asarray(file["voxel"][()]) if "voxel" in file else None
    space = None
    if voxels is not None and chosen is not None:
        with open_artifact(voxels, "voxels") as file:
            space = read_space(file).take(chosen)
    rows = np.ascontiguousarray(responses, np.float32)
    return Trials(subject, rows, clip, repeat, run, split, space)


def check_trials(trials: Trials, clips: Clips) -> NDArray[np.int64]:
    """Return the row of each trial's clip, shape (trial,), if the trials can be fitted on.

    Raises
    ------
    DataError
        When the subject has no training trials, a clip is unknown, or a trial's split is not its
        clip's, which would let a test clip into the fit.
    """
    rows = clips.rows(trials.clip)
    if not trials.training.any():
        raise DataError(
            f"the subject {trials.subject} has no training trials",
            expected="trials of split train",
            found=f"{len(trials.split)} trials of split {', '.join(sorted(set(trials.split)))}",
            remedy="mark training clips in the study's stimuli, or leave the subject out of "
            "experiments.*.cohorts",
        )
    wrong = np.flatnonzero(clips.split[rows] != trials.split)
    if len(wrong):
        first = int(wrong[0])
        raise DataError(
            f"a trial of {trials.subject} is of another split than its clip",
            expected=f"{trials.clip[first]} in {clips.split[rows[first]]}",
            found=f"{trials.split[first]}, and so {len(wrong)} trials",
            remedy="make responses and stimuli from the same study",
        )
    return rows


def check_studies(
    subjects: Iterable[str], stimuli: Mapping[str, object], targets: Mapping[str, object]
) -> list[str]:
    """Return the studies of "study/subject" names in order, each with stimuli and targets.

    Raises
    ------
    DataError
        Without any subject, or when a study lacks its stimuli or targets.
    """
    studies = list(dict.fromkeys(subject.partition("/")[0] for subject in subjects))
    if not studies:
        raise DataError("no subjects", expected="at least one responses artifact")
    for study in studies:
        for label, files in (("stimuli", stimuli), ("targets", targets)):
            if study not in files:
                raise DataError(
                    f"the {label} of {study} are missing", found=f"{label} of {[*files]}"
                )
    return studies


Rows = TypeVar("Rows", NDArray[np.float32], NDArray[np.float64])


def average_repeats(values: Rows, labels: Sequence[str] | Labels) -> tuple[Rows, Labels]:
    """Average rows that share a label.

    Parameters
    ----------
    values : ndarray, shape (trial, ...)
        Rows.
    labels : sequence of str, shape (trial,)
        Such as the clip of each trial.

    Returns
    -------
    means : ndarray, shape (label, ...), dtype of ``values``
        A row a label, in sorted order.
    unique : ndarray of str, shape (label,)
        The labels.
    """
    unique, place, counts = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
    if not len(unique):
        return values, unique
    # Rows of one label are brought together and summed from each label's first row on.
    ordered = values[np.argsort(place, kind="stable")]
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    sums = np.add.reduceat(ordered, starts, axis=0)
    shape = (-1,) + (1,) * (values.ndim - 1)
    return (sums / counts.reshape(shape)).astype(values.dtype), unique
