"""What the evaluation reads: test clips, reconstructions, predicted and true vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from brainflix.artifacts import open_artifact, read_strings
from brainflix.errors import ArtifactError, DataError
from brainflix.evaluation.audit import split_audit
from brainflix.evaluation.baselines import mean_clip
from brainflix.evaluation.clips import Clips, check_frames
from brainflix.evaluation.frames import Frames, take

NETWORK, RIDGE = "network", "ridge"


@dataclass(frozen=True)
class StudyClips:
    """A study's test clips, and what its training clips leave for comparison.

    Attributes
    ----------
    test : Clips
        All test clips.
    train_ids : tuple of str
        Names of the training clips.
    mean_training_clip : ndarray of uint8, shape (frame, height, width, 3)
    audit : dict
        See :func:`brainflix.evaluation.audit.split_audit`.
    """

    test: Clips
    train_ids: tuple[str, ...]
    mean_training_clip: Frames
    audit: dict[str, Any]

    def subset(self, ids: Sequence[str], where: object) -> Clips:
        """Return the named test clips in the order given.

        Raises
        ------
        DataError
            When one of them is a training clip or not in the study.
        """
        if tuple(ids) == self.test.ids:
            return self.test
        place = {name: k for k, name in enumerate(self.test.ids)}
        wrong = [name for name in ids if name not in place]
        if wrong:
            trained = wrong[0] in self.train_ids
            raise DataError(
                "a training clip is evaluated" if trained else "an unknown clip is evaluated",
                expected="test clips of the study's stimuli.h5 alone",
                found=f"{len(wrong)} others, such as {wrong[0]}",
                where=where,
                remedy="run the workflow again from stimuli.h5 on",
            )
        rows = [place[name] for name in ids]
        labels = {name: tuple(column[k] for k in rows) for name, column in self.test.labels.items()}
        groups = tuple(self.test.groups[k] for k in rows)
        return Clips(take(self.test.frames, rows), tuple(ids), groups, labels)


def read_study(path: Path) -> StudyClips:
    """Read a stimuli artifact: the test clips, the mean training clip and the audit of splits."""
    with open_artifact(path, "stimuli") as file:
        ids, splits = read_strings(file["clip"]), read_strings(file["split"])
        groups = read_strings(file["group"])
        train, test = (np.flatnonzero(np.asarray(splits) == split) for split in ("train", "test"))
        if len(train) == 0 or len(test) == 0:
            raise DataError(
                "a study needs training and test clips",
                expected="both",
                found=f"{len(train)} training and {len(test)} test clips",
                where=path,
            )
        attributes = file.get("attributes", {})
        labels = {
            name: tuple(np.asarray(read_strings(attributes[name]))[test].tolist())
            for name in sorted(attributes)
        }
        frames = file["frames"]
        return StudyClips(
            Clips(frames[test], _at(ids, test), _at(groups, test), labels),
            _at(ids, train),
            mean_clip(frames, train),
            split_audit(ids, splits, groups, frames),
        )


def _at(values: Sequence[str], rows: NDArray[np.int64]) -> tuple[str, ...]:
    return tuple(values[k] for k in rows)


def read_videos(path: Path) -> tuple[tuple[str, ...], dict[str, Frames]]:
    """Read a videos artifact.

    Returns
    -------
    ids : tuple of str
        The reconstructed clips.
    variants : dict
        Variant ("network", "ridge", ...) to uint8 (clip, frame, height, width, 3).
    """
    with open_artifact(path, "videos") as file:
        ids = tuple(read_strings(file["clip"]))
        variants = {name: file["frames"][name][()] for name in sorted(file["frames"])}
    if NETWORK not in variants:
        raise ArtifactError(
            "the videos lack the reconstructions", expected=NETWORK, found=[*variants], where=path
        )
    for name, frames in variants.items():
        check_frames(frames)
        if len(frames) != len(ids):
            raise ArtifactError(
                f"frames/{name} needs a clip a name",
                expected=len(ids),
                found=len(frames),
                where=path,
            )
    return ids, variants


@dataclass(frozen=True)
class Vectors:
    """Predicted vectors of one subject, target and estimator, beside the true ones.

    Attributes
    ----------
    ids : tuple of str
        The test clips, one a row of ``averaged`` and ``true``.
    averaged : ndarray, shape (clip, ...)
        Predictions, the mean over a clip's repeats.
    true : ndarray, shape (clip, ...)
    single : ndarray, shape (trial, ...), or None
        Predictions of single trials.
    single_clip : ndarray of int, shape (trial,), or None
        The row of ``ids`` that each trial showed.
    """

    ids: tuple[str, ...]
    averaged: NDArray[Any]
    true: NDArray[Any]
    single: NDArray[Any] | None = None
    single_clip: NDArray[np.int64] | None = None


class Predictions:
    """The predictions of an experiment, read a subject at a time.

    Parameters
    ----------
    path : Path
        A "predictions" artifact.
    targets : dict
        Study to target to "target" artifact.
    """

    def __init__(self, path: Path, targets: dict[str, dict[str, Path]]) -> None:
        self.path, self.targets = path, targets

    def read(self, name: str, estimator: str, target: str) -> Vectors | None:
        """Return a subject's vectors of one target, or None where there are none.

        Parameters
        ----------
        name : str
            ``study/subject``.
        estimator : str
            "network" or "ridge".
        target : str
            The target's name.
        """
        study = name.partition("/")[0]
        with open_artifact(self.path, "predictions") as file:
            group = file.get(name)
            key = f"{estimator}/averaged/{target}"
            if group is None or key not in group:
                return None
            ids = tuple(read_strings(group["clip"]))
            averaged = group[key][()]
            single, single_clip = _single_trials(group, f"{estimator}/single/{target}", ids)
        true = read_target(self.targets[study][target], ids)
        return Vectors(ids, averaged, true, single, single_clip)


def _single_trials(
    group: h5py.Group, key: str, ids: tuple[str, ...]
) -> tuple[NDArray[Any] | None, NDArray[np.int64] | None]:
    if key not in group or "trial_clip" not in group:
        return None, None
    place = {name: k for k, name in enumerate(ids)}
    own = np.array([place[name] for name in read_strings(group["trial_clip"])], dtype=np.int64)
    return group[key][()], own


def read_target(path: Path, ids: Sequence[str]) -> NDArray[Any]:
    """Return a target's rows for some clips, (clip, ...)."""
    with open_artifact(path, "target") as file:
        place = {name: k for k, name in enumerate(read_strings(file["clip"]))}
        missing = [name for name in ids if name not in place]
        if missing:
            raise DataError(
                "the target lacks clips", expected="a row a clip", found=missing[0], where=path
            )
        rows = np.array([place[name] for name in ids])
        order = np.argsort(rows, kind="stable")
        values = np.empty((len(rows), *file["values"].shape[1:]), file["values"].dtype)
        unique, inverse = np.unique(rows[order], return_inverse=True)
        values[order] = file["values"][unique][inverse]
    return values
