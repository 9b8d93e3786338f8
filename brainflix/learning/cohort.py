"""Subjects that are fitted together, and which of their trials train, validate and test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brainflix.artifacts.responses import Trials, check_trials
from brainflix.artifacts.stimuli import Array, Clips, Labels
from brainflix.config.recipe import FitConfig
from brainflix.errors import DataError
from brainflix.learning.folds import validation_clips


@dataclass(frozen=True)
class Cohort:
    """Subjects that are fitted together.

    Parameters
    ----------
    trials : dict of str to Trials
        By "study/subject".
    clips : dict of str to Clips
        By study.
    embeddings : dict of str to ndarray of float32, shape (clip, embedding dim)
        By study, in the order of its clips.
    validation : dict of str to ndarray of str
        By study, its validation clips.

    Raises
    ------
    DataError
        When embeddings of studies differ in length, or a subject cannot be fitted.
    """

    trials: dict[str, Trials]
    clips: dict[str, Clips]
    embeddings: dict[str, Array]
    validation: dict[str, Labels]

    def __post_init__(self) -> None:
        shapes = {study: values.shape[1:] for study, values in self.embeddings.items()}
        if len(set(shapes.values())) > 1:
            raise DataError(
                "the studies' targets have different shapes",
                expected="one encoder and model for all studies",
                found=shapes,
                remedy="compute the target of all studies by the same model",
            )
        for trials in self.trials.values():
            check_trials(trials, self.clips[trials.study])
            if not len(self.roles(trials).training):
                raise DataError(
                    f"the subject {trials.subject} has no training trials beside validation",
                    expected="training trials of at least two groups (runs, segments) of clips",
                    found=f"{int(trials.training.sum())} trials, all of validation clips",
                    remedy="lower alignment.validation_fraction, change its seed, or leave the "
                    "subject out",
                )

    def roles(self, trials: Trials) -> Roles:
        """Return which trials of a subject train, validate and test."""
        held = np.isin(trials.clip, self.validation[trials.study]) & trials.training
        return Roles(
            training=np.flatnonzero(trials.training & ~held),
            validation=np.flatnonzero(held),
            test=np.flatnonzero(~trials.training),
        )

    def table(self) -> tuple[dict[str, int], Array, NDArray[np.bool_]]:
        """Put the studies' embeddings below each other.

        Returns
        -------
        offset : dict of str to int
            The first row of each study.
        values : ndarray of float32, shape (clip, embedding dim)
            Of unit length.
        fitted : ndarray of bool, shape (clip,)
            Training clips that do not validate.
        """
        offset, rows, fitted, first = {}, [], [], 0
        for study, clips in self.clips.items():
            values = self.embeddings[study].reshape(len(clips.clip), -1)
            length = np.linalg.norm(values, axis=1, keepdims=True)
            rows.append(values / np.maximum(length, 1e-12))
            fitted.append(clips.training & ~np.isin(clips.clip, self.validation[study]))
            offset[study] = first
            first += len(values)
        return offset, np.concatenate(rows), np.concatenate(fitted)


@dataclass(frozen=True)
class Roles:
    """Trials of a subject by what they are used for, each an ndarray of int64, shape (trial,)."""

    training: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]


def choose_validation(clips: Mapping[str, Clips], options: FitConfig) -> dict[str, Labels]:
    """Choose the validation clips of each study."""
    return {
        study: validation_clips(found, options.validation_fraction, options.seed)
        for study, found in clips.items()
    }


HISTORY = "history.json"


def models(subjects: list[str], pooling: str) -> dict[str, list[str]]:
    """Return the subjects of each model by the model's name, which is its checkpoint's."""
    if pooling == "joint":
        return {"best": subjects}
    return {subject.replace("/", "_"): [subject] for subject in subjects}
