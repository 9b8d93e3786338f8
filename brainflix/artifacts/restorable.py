"""The artifact "restorable": what a regression leaves for the priors of its targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import h5py
import numpy as np

from brainflix.artifacts.stimuli import Array, Labels
from brainflix.artifacts.store import read_strings, write_dataset

RESTORABLE = "restorable.h5"
_PARTS = ("validation", "test")


@dataclass(frozen=True)
class Restorable:
    """A subject's predictions as regressed, not stretched to any length, for fitting a prior.

    Parameters
    ----------
    clip : ndarray of str, shape (trial,)
        The validation clip of each trial that shows one.
    validation, test : dict of str to dict of str to ndarray of float32, shape (trial, ...)
        By estimator and target: of those trials, and of the test trials, in the targets' own units.
        No estimator was fitted on a validation clip that it predicts here.
    """

    clip: Labels
    validation: dict[str, dict[str, Array]]
    test: dict[str, dict[str, Array]]


def write_restorable(group: h5py.Group, restorable: Restorable) -> None:
    """Write a subject's restorable predictions."""
    write_dataset(group, "clip", restorable.clip, ("trial",))
    for part in _PARTS:
        for estimator, targets in getattr(restorable, part).items():
            for target, values in targets.items():
                axes = [f"axis{k}" for k in range(values.ndim - 1)]
                write_dataset(group, f"{estimator}/{part}/{target}", values, ("trial", *axes))


def read_restorable(group: h5py.Group, target: str) -> Restorable:
    """Read a subject's restorable predictions of one target; estimators without it are left out."""
    parts: dict[str, dict[str, dict[str, Array]]] = {part: {} for part in _PARTS}
    for estimator in (name for name in group if name != "clip"):
        for part in _PARTS:
            if f"{estimator}/{part}/{target}" in group:
                values = np.asarray(group[f"{estimator}/{part}/{target}"][()], dtype=np.float32)
                parts[part][estimator] = {target: values}
    return Restorable(np.array(read_strings(group["clip"]), dtype=np.str_), **parts)


def only(
    predictions: Mapping[str, Mapping[str, Array]], targets: tuple[str, ...]
) -> dict[str, dict[str, Array]]:
    """Return the predictions of some targets, by estimator and target."""
    return {
        estimator: {target: found[target] for target in targets}
        for estimator, found in predictions.items()
    }
