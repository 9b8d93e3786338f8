"""Writing the artifact "predictions": what a decoding path predicts for test clips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import h5py
import numpy as np

from brainflix.artifacts.responses import average_repeats
from brainflix.artifacts.restorable import Restorable
from brainflix.artifacts.stimuli import Array, Clips, Labels
from brainflix.artifacts.store import write_dataset

PREDICTIONS = "predictions.h5"


@dataclass(frozen=True)
class Predicted:
    """Predictions for a subject's test clips, in each target's own units and shape.

    Parameters
    ----------
    clip : ndarray of str, shape (clip,)
        Test clips, in the order of the study.
    trial_clip : ndarray of str, shape (trial,)
        The clip of each test trial.
    averaged, single : dict of str to dict of str to ndarray of float32
        By estimator ("network", "ridge") and target: averaged over a clip's repeats (clip, ...),
        and of single trials (trial, ...).
    alphas : dict of str to float
        Ridge's penalty for each target.
    restorable : Restorable, optional
        Where a prior restores a target.
    """

    clip: Labels
    trial_clip: Labels
    averaged: dict[str, dict[str, Array]]
    single: dict[str, dict[str, Array]]
    alphas: dict[str, float] = field(default_factory=dict)
    restorable: Restorable | None = None


def finished(
    single: Mapping[str, Mapping[str, Array]], trial_clip: Labels, clips: Clips
) -> Predicted:
    """Average the predictions of single trials over each clip's repeats, as they are.

    Parameters
    ----------
    single : mapping of str to mapping of str to ndarray of float32, shape (trial, ...)
        By estimator and target.
    trial_clip : ndarray of str, shape (trial,)
        The clip of each test trial.
    clips : Clips
        Of the subject's study, for the order.
    """
    unique = np.unique(trial_clip)
    order = np.argsort(clips.rows(unique))
    averaged = {
        estimator: {t: average_repeats(values, trial_clip)[0][order] for t, values in part.items()}
        for estimator, part in single.items()
    }
    every = {estimator: dict(part) for estimator, part in single.items()}
    return Predicted(unique[order], trial_clip, averaged, every)


def write_means(
    file: h5py.File, clips: Mapping[str, Clips], values: Mapping[str, Mapping[str, Array]]
) -> None:
    """Write each target's mean over a study's training clips."""
    for study, targets in values.items():
        for target, found in targets.items():
            mean = found[clips[study].training].mean(axis=0, dtype=np.float64)
            axes = [f"axis{k}" for k in range(mean.ndim)]
            name = f"training_mean/{study}/{target}"
            write_dataset(file, name, mean.astype(np.float32), axes)


def write_predicted(group: h5py.Group, predicted: Predicted) -> None:
    """Write a subject's predictions, averaged over each clip's repeats and of single trials."""
    write_dataset(group, "clip", predicted.clip, ("clip",))
    write_dataset(group, "trial_clip", predicted.trial_clip, ("trial",))
    for kind, dim in (("averaged", "clip"), ("single", "trial")):
        for estimator, targets in getattr(predicted, kind).items():
            for target, values in targets.items():
                axes = [f"axis{k}" for k in range(values.ndim - 1)]
                write_dataset(group, f"{estimator}/{kind}/{target}", values, (dim, *axes))
    for target, alpha in predicted.alphas.items():
        for kind in ("averaged", "single"):
            group[f"ridge/{kind}/{target}"].attrs["alpha"] = alpha
