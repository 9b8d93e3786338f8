"""What the fitting stages read: a subject's trials, a study's clips and a target's values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from brainflix.artifacts.stimuli import Array, Clips, Labels
from brainflix.artifacts.store import open_artifact, read_strings
from brainflix.errors import ArtifactError, DataError

Window = Literal["flatten", "mean"]


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
