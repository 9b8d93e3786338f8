"""Ridge regression from a subject's voxels to each target: the baseline that every run carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from brainflix.artifacts.responses import Trials, Window
from brainflix.artifacts.stimuli import Array, Clips
from brainflix.config.recipe import RidgeConfig
from brainflix.learning.folds import group_folds
from brainflix.learning.ridge import (
    Standardization,
    choose_alphas,
    decompose,
    heldout_predictions,
)
from brainflix.regression.target_space import TargetSpace


@dataclass(frozen=True)
class RidgeTarget:
    """What ridge makes of one target for one subject.

    Parameters
    ----------
    alpha : float
        The penalty chosen by cross-validation.
    heldout : ndarray of float32, shape (training trial, component)
        Scores of each training trial by the fit without its group of clips.
    test : ndarray of float32, shape (test trial, ...)
        The target of each test trial by the fit on all training trials.
    """

    alpha: float
    heldout: Array
    test: Array


def fit_ridge(
    trials: Trials,
    clips: Clips,
    values: Mapping[str, Array],
    spaces: Mapping[str, TargetSpace],
    options: RidgeConfig,
    seed: int,
    window: Window = "flatten",
) -> dict[str, RidgeTarget]:
    """Fit every target of a subject from one decomposition of its responses.

    The penalty is chosen for each target as a whole, in its standardised coordinates.

    Parameters
    ----------
    trials : Trials
        The subject's; test trials are only predicted.
    clips : Clips
        Of the subject's study.
    values : mapping of str to ndarray of float32, shape (clip, ...)
        Each target, in the order of the clips.
    spaces : mapping of str to TargetSpace
        Coordinates of each target.
    options : RidgeConfig
        Penalties and folds.
    seed : int
        Seed of the folds.
    window : {"flatten", "mean"}
        How responses become rows.

    Returns
    -------
    dict of str to RidgeTarget
        By target.
    """
    training = trials.training
    rows_of = trials.features(window)  # (trial, feature)
    statistics = Standardization.of(rows_of[training])
    spectrum = decompose(statistics.apply(rows_of[training]))
    test = statistics.apply(rows_of[~training])
    rows = clips.rows(trials.clip[training])
    folds = group_folds(clips.group[rows], options.folds, seed)
    scores = {t: s.scores(values[t])[rows].astype(np.float64) for t, s in spaces.items()}
    centre = {target: found.mean(axis=0) for target, found in scores.items()}
    alphas = choose_alphas(
        spectrum,
        {target: found - centre[target] for target, found in scores.items()},
        folds,
        trials.clip[training],
        spectrum.penalties(options.alphas),
    )
    fitted = {}
    for target, space in spaces.items():
        alpha = alphas[target]
        centred = scores[target] - centre[target]
        heldout = heldout_predictions(spectrum, centred, alpha, folds) + centre[target]
        flat = values[target].reshape(len(clips.clip), -1)[rows].astype(np.float64)
        mean = flat.mean(axis=0)
        predicted = test.astype(np.float64) @ spectrum.weights(flat - mean, alpha) + mean
        fitted[target] = RidgeTarget(
            alpha,
            heldout.astype(np.float32),
            predicted.reshape(len(test), *space.shape).astype(np.float32),
        )
    return fitted
