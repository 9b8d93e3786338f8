"""Targets decoded by inverting each subject's encoding model: a start for the network.

It takes the place of the ridge regression of each subject (:mod:`brainflix.regression.baseline`),
and gives the same: cross-fitted scores of training trials, and the targets of test trials.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from brainflix.artifacts.responses import Trials, Window
from brainflix.artifacts.stimuli import Array, Clips
from brainflix.learning.clip_features import ClipFeatures, FeaturePrior
from brainflix.learning.encoding_model import EncodingOptions, fit_encoding_head
from brainflix.regression.baseline import RidgeTarget
from brainflix.regression.target_space import TargetSpace


def fit_encoding(
    trials: Trials,
    clips: Clips,
    values: Mapping[str, Array],
    spaces: Mapping[str, TargetSpace],
    features: ClipFeatures,
    prior: FeaturePrior,
    options: EncodingOptions,
    seed: int,
    window: Window = "flatten",
) -> dict[str, RidgeTarget]:
    """Fit a subject's encoding model and decode every target that the features were fitted to.

    Parameters
    ----------
    trials : Trials
        The subject's; test trials are only decoded.
    clips : Clips
        Of the subject's study.
    values : mapping of str to ndarray of float32, shape (clip, ...)
        Each target, in the order of the clips.
    spaces : mapping of str to TargetSpace
        Coordinates of each target.
    features : ClipFeatures
        Fitted to the targets of training clips of all studies.
    prior : FeaturePrior
        Of those clips.
    options : EncodingOptions
        Penalties, shrinkages and folds.
    seed : int
        Seed of the folds.
    window : {"flatten", "mean"}
        How responses become rows.

    Returns
    -------
    dict of str to RidgeTarget
        By target; ``alpha`` is the encoding model's penalty, the same for all.
    """
    training = trials.training
    responses = trials.features(window)  # (trial, feature)
    rows = clips.rows(trials.clip[training])
    head = fit_encoding_head(
        responses[training],
        features.features(values)[rows],
        trials.clip[training],
        clips.group[rows],
        prior,
        options,
        seed,
    )
    heldout = head.heldout.astype(np.float64)
    test = head.model.decode(responses[~training])
    return {
        target: RidgeTarget(
            head.penalty,
            space.scores(features.target(target, heldout)),
            features.target(target, test),
        )
        for target, space in spaces.items()
    }
