"""The artifact "predictions": regressed targets of a subject's test clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from brainflix.artifacts.store import open_artifact, read_strings
from brainflix.errors import DataError

NETWORK, RIDGE = "network", "ridge"


@dataclass(frozen=True)
class Vectors:
    """Predicted vectors of one subject, target and estimator, with the true ones.

    Attributes
    ----------
    ids : tuple of str
        The test clips, one for each row of ``averaged`` and ``true``.
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
    """The predictions of an experiment, read one subject at a time.

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
        true = read_target_rows(self.targets[study][target], ids)
        return Vectors(ids, averaged, true, single, single_clip)


def _single_trials(
    group: h5py.Group, key: str, ids: tuple[str, ...]
) -> tuple[NDArray[Any] | None, NDArray[np.int64] | None]:
    if key not in group or "trial_clip" not in group:
        return None, None
    place = {name: k for k, name in enumerate(ids)}
    own = np.array([place[name] for name in read_strings(group["trial_clip"])], dtype=np.int64)
    return group[key][()], own


def read_target_rows(path: Path, ids: Sequence[str]) -> NDArray[Any]:
    """Return a target's rows for some clips, (clip, ...)."""
    with open_artifact(path, "target") as file:
        place = {name: k for k, name in enumerate(read_strings(file["clip"]))}
        missing = [name for name in ids if name not in place]
        if missing:
            raise DataError(
                "the target lacks clips",
                expected="a row for each clip",
                found=missing[0],
                where=path,
            )
        rows = np.array([place[name] for name in ids])
        order = np.argsort(rows, kind="stable")
        values = np.empty((len(rows), *file["values"].shape[1:]), file["values"].dtype)
        unique, inverse = np.unique(rows[order], return_inverse=True)
        values[order] = file["values"][unique][inverse]
    return values
