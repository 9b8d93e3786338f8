"""What the fitting stages read: a subject's trials, a study's clips and a target's values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from brainflix.artifacts import open_artifact, read_strings
from brainflix.errors import ArtifactError, DataError

Array = NDArray[np.float32]
Labels = NDArray[np.str_]
Window = Literal["flatten", "mean"]
Rows = TypeVar("Rows", NDArray[np.float32], NDArray[np.float64])


@dataclass(frozen=True)
class Clips:
    """The clips of a study.

    Parameters
    ----------
    study : str
        The study's name.
    clip, split, group : ndarray of str, shape (clip,)
        Ids, "train" or "test", and the run or segment that never straddles splits.

    Raises
    ------
    DataError
        When the lengths differ, an id occurs twice, or a group lies in both splits.
    """

    study: str
    clip: Labels
    split: Labels
    group: Labels

    def __post_init__(self) -> None:
        if not len(self.clip) == len(self.split) == len(self.group):
            raise DataError(
                f"clips of {self.study} lack a split or a group",
                expected=f"{len(self.clip)} of each",
                found=f"{len(self.split)} splits, {len(self.group)} groups",
            )
        if len(set(self.clip)) != len(self.clip):
            raise DataError(f"two clips of {self.study} have one id")
        both = sorted(set(self.group[self.training]) & set(self.group[~self.training]))
        if both:
            raise DataError(
                f"a group of clips of {self.study} lies in training and test",
                expected="groups (runs, segments) within one split",
                found=", ".join(both[:5]),
                remedy="correct the columns split and group of the study's stimuli",
            )

    @property
    def training(self) -> NDArray[np.bool_]:
        """Which clips are training clips, shape (clip,)."""
        return self.split == "train"

    def rows(self, ids: Iterable[str]) -> NDArray[np.int64]:
        """Return the row of each id, shape (id,).

        Raises
        ------
        DataError
            For an id that is no clip of the study.
        """
        place = {str(clip): row for row, clip in enumerate(self.clip)}
        wanted = [str(clip) for clip in ids]
        missing = sorted({clip for clip in wanted if clip not in place})
        if missing:
            raise DataError(
                f"trials show clips that {self.study} does not have",
                expected=f"{len(place)} clips, such as {self.clip[0]}",
                found=", ".join(missing[:5]),
                remedy="make responses and stimuli from the same study",
            )
        return np.array([place[clip] for clip in wanted], dtype=np.int64)


@dataclass(frozen=True)
class Trials:
    """A subject's trials.

    Parameters
    ----------
    subject : str
        "study/subject".
    responses : ndarray of float32, shape (trial, feature)
        The window's volumes side by side (or averaged), in z.
    clip, run, split : ndarray of str, shape (trial,)
        The clip shown, the run, and the clip's split.
    repeat : ndarray of int64, shape (trial,)
        How often the clip had been shown before.

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

    def __post_init__(self) -> None:
        if self.responses.ndim != 2 or 0 in self.responses.shape:
            raise DataError(
                f"{self.subject} has no responses",
                expected="at least one trial and one voxel",
                found=f"(trial, feature) = {self.responses.shape}",
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
            bad = int((~np.isfinite(self.responses).all(axis=1)).sum())
            raise DataError(
                f"responses of {self.subject} are not finite",
                expected="finite numbers",
                found=f"{bad} trials with NaN or infinity",
                remedy="run the stages clean and extract again",
            )

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


def read_clips(path: Path, study: str) -> Clips:
    """Read ids, splits and groups of a "stimuli" artifact."""
    with open_artifact(path, "stimuli") as file:
        columns = [np.array(read_strings(file[name])) for name in ("clip", "split", "group")]
    return Clips(study, *columns)


def read_target(path: Path, clips: Clips) -> Array:
    """Read a target's values in the order of a study's clips, shape (clip, ...).

    Raises
    ------
    ArtifactError
        When it was made from other clips, or holds values that are not finite.
    """
    with open_artifact(path, "target") as file:
        found = read_strings(file["clip"])
        values = np.asarray(file["values"][()], dtype=np.float32)
    if found != clips.clip.tolist():
        raise ArtifactError(
            f"the target was computed from other clips than {clips.study} has",
            expected=f"{len(clips.clip)} clips in the order of the stimuli",
            found=f"{len(found)} clips",
            where=path,
            remedy="run the stage encode again",
        )
    if not np.isfinite(values).all():
        raise ArtifactError("the target holds values that are not finite", where=path)
    return values


def read_trials(path: Path, subject: str, window: Window = "flatten") -> Trials:
    """Read a "responses" artifact.

    Parameters
    ----------
    path : Path
        The artifact.
    subject : str
        "study/subject", for messages and results.
    window : {"flatten", "mean"}
        Put the volumes of the window side by side, or average them.
    """
    with open_artifact(path, "responses") as file:
        responses = file["responses"][()]  # (trial, window, voxel)
        clip, run, split = (np.array(read_strings(file[key])) for key in ("clip", "run", "split"))
        repeat = np.asarray(file["repeat"][()], dtype=np.int64)
    if responses.ndim != 3:
        raise ArtifactError(
            "responses of another shape",
            expected="(trial, window, voxel)",
            found=responses.shape,
            where=path,
        )
    if window == "mean":
        rows = responses.mean(axis=1, dtype=np.float64).astype(np.float32)
    else:
        rows = responses.reshape(len(responses), -1)  # (trial, window, voxel) -> (trial, feature)
    return Trials(subject, np.ascontiguousarray(rows, np.float32), clip, repeat, run, split)


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
    ordered = values[np.argsort(place, kind="stable")]
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    sums = np.add.reduceat(ordered, starts, axis=0)
    shape = (-1,) + (1,) * (values.ndim - 1)
    return (sums / counts.reshape(shape)).astype(values.dtype), unique
