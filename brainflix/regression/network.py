"""The residual network: from the shared space and ridge's scores to targets of test trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from brainflix.artifacts.responses import average_repeats
from brainflix.artifacts.restorable import Restorable, only
from brainflix.artifacts.stimuli import Array, Clips, Labels
from brainflix.errors import ConfigError
from brainflix.learning.batches import PooledTrials, SubjectRows
from brainflix.learning.ridge import Standardization
from brainflix.learning.training import Curves, FitPlan, fit
from brainflix.regression.baseline import RidgeTarget, fit_ridge
from brainflix.regression.cohort import Predicted, SharedTrials, TargetCohort
from brainflix.regression.module import RegressionModule
from brainflix.regression.options import ResidualNetworkOptions
from brainflix.regression.regressor import Regressor
from brainflix.regression.target_space import TargetSpace, make_space


def make_spaces(cohort: TargetCohort, options: ResidualNetworkOptions) -> dict[str, TargetSpace]:
    """Fit the coordinates of each head's target to the training clips of all studies."""
    spaces = {}
    for target in options.heads:
        rows = [values[target][cohort.fitted(study)] for study, values in cohort.targets.items()]
        spaces[target] = make_space(np.concatenate(rows), options.components)
    return spaces


class ResidualNetwork(Regressor):
    """A residual MLP of all subjects next to the ridge regression of each."""

    options: ResidualNetworkOptions

    def fit(
        self, cohort: TargetCohort, folder: Path, name: str
    ) -> tuple[dict[str, Predicted], Curves]:
        """Fit on a cohort's training trials and predict its test trials."""
        return regress_cohort(cohort, self.options, folder, name)


def regress_cohort(
    cohort: TargetCohort, options: ResidualNetworkOptions, folder: Path, name: str
) -> tuple[dict[str, Predicted], Curves]:
    """Fit ridge for each subject and one network of all subjects, and predict their test trials.

    Parameters
    ----------
    cohort : TargetCohort
    options : RegressionConfig
        The section.
    folder : Path
        Receives ``{name}.ckpt`` and ``logs/{name}``.
    name : str
        Of the model.

    Returns
    -------
    predicted : dict of str to Predicted
        By subject.
    curves : Curves
        Of the network's fit.
    """
    spaces = make_spaces(cohort, options)
    ridge = {
        subject: fit_ridge(
            found.trials,
            cohort.clips[found.trials.study],
            cohort.targets[found.trials.study],
            spaces,
            options.ridge,
            options.seed,
            cohort.window,
        )
        for subject, found in cohort.subjects.items()
    }
    inputs = {
        subject: network_inputs(found, ridge[subject], spaces, options)
        for subject, found in cohort.subjects.items()
    }
    best, curves = _fit_network(cohort, inputs, spaces, options, folder, name)
    predicted = {}
    for subject, found in cohort.subjects.items():
        test = ~found.trials.training
        single = {
            "network": _predict(best, inputs[subject][test], spaces),
            "ridge": {target: fitted.test for target, fitted in ridge[subject].items()},
        }
        alphas = {target: fitted.alpha for target, fitted in ridge[subject].items()}
        clips = cohort.clips[found.trials.study]
        predicted[subject] = _summarize(
            single, found.trials.clip[test], clips, spaces, alphas, options
        )
        if cohort.restorable:
            heldout = heldout_predictions(
                best, found, cohort, ridge[subject], inputs[subject], spaces
            )
            kept = Restorable(
                found.trials.clip[validation_trials(found, cohort)],
                only(heldout, cohort.restorable),
                only(single, cohort.restorable),
            )
            predicted[subject] = replace(predicted[subject], restorable=kept)
    return predicted, curves


def validation_trials(found: SharedTrials, cohort: TargetCohort) -> NDArray[np.bool_]:
    """Return which trials of a subject show validation clips, shape (trial,)."""
    held = np.isin(found.trials.clip, cohort.validation[found.trials.study])
    return np.asarray(found.trials.training & held)


def heldout_predictions(
    module: RegressionModule,
    found: SharedTrials,
    cohort: TargetCohort,
    ridge: Mapping[str, RidgeTarget],
    inputs: Array,
    spaces: Mapping[str, TargetSpace],
) -> dict[str, dict[str, Array]]:
    """Predict a subject's validation trials, which neither estimator was fitted on.

    The network does not train on validation clips. Ridge does; its prediction of each trial is by
    the cross-validation's fit without that trial's group of clips.

    Returns
    -------
    dict of str to dict of str to ndarray of float32, shape (validation trial, ...)
        By estimator and target, in the targets' own units.
    """
    held = validation_trials(found, cohort)
    rows = held[found.trials.training]  # of the training trials that ridge's scores belong to
    return {
        "network": _predict(module, inputs[held], spaces),
        "ridge": {
            target: space.values(ridge[target].heldout[rows]) for target, space in spaces.items()
        },
    }


def _summarize(
    single: dict[str, dict[str, Array]],
    trial_clip: Labels,
    clips: Clips,
    spaces: Mapping[str, TargetSpace],
    alphas: dict[str, float],
    options: ResidualNetworkOptions,
) -> Predicted:
    """Average predictions over repeats, then give both kinds the length that is asked for."""
    unique = np.unique(trial_clip)
    order = np.argsort(clips.rows(unique))
    averaged: dict[str, dict[str, Array]] = {}
    finished: dict[str, dict[str, Array]] = {}
    for estimator, targets in single.items():
        averaged[estimator], finished[estimator] = {}, {}
        for target, values in targets.items():
            means = average_repeats(values, trial_clip)[0][order]
            if options.heads[target].length == "training":
                means, values = spaces[target].stretch(means), spaces[target].stretch(values)
            averaged[estimator][target], finished[estimator][target] = means, values
    return Predicted(unique[order], trial_clip, averaged, finished, alphas)


def network_inputs(
    found: SharedTrials,
    ridge: Mapping[str, RidgeTarget],
    spaces: Mapping[str, TargetSpace],
    options: ResidualNetworkOptions,
) -> Array:
    """Put a subject's inputs of the network side by side, (trial, column)."""
    columns = [] if found.shared is None else [found.shared.reshape(len(found.shared), -1)]
    if options.use_input and found.input is not None:
        columns.append(found.input)
    if options.use_linear:
        training = found.trials.training
        for target, fitted in ridge.items():
            scores = np.empty((len(training), spaces[target].components), dtype=np.float32)
            scores[training] = fitted.heldout
            scores[~training] = spaces[target].scores(fitted.test)
            columns.append(scores)
    if not columns:
        raise ConfigError(
            "the network has no input",
            expected="an alignment before the regression, or regression.use_linear",
            found="neither",
            where="regression",
        )
    return np.concatenate(columns, axis=1)


def _fit_network(
    cohort: TargetCohort,
    inputs: Mapping[str, Array],
    spaces: Mapping[str, TargetSpace],
    options: ResidualNetworkOptions,
    folder: Path,
    name: str,
) -> tuple[RegressionModule, Curves]:
    """Fit the network and return it with its best weights."""
    offset: dict[str, int] = {}
    tables: list[Array] = []
    for study, clips in cohort.clips.items():
        offset[study] = sum(map(len, tables))
        values = cohort.targets[study]
        scores = [space.scores(values[target]) for target, space in spaces.items()]
        tables.append(np.concatenate(scores, axis=1))
        assert len(tables[-1]) == len(clips.clip)
    rows = {}
    for subject, found in cohort.subjects.items():
        trials = found.trials
        held = np.isin(trials.clip, cohort.validation[trials.study])
        rows[subject] = SubjectRows(
            torch.from_numpy(inputs[subject]),
            offset[trials.study] + cohort.clips[trials.study].rows(trials.clip),
            np.flatnonzero(trials.training & ~held),
            np.flatnonzero(trials.training & held),
        )
    torch.manual_seed(options.seed)
    width = sum(space.components for space in spaces.values()) if options.use_linear else 0
    any_inputs = next(iter(inputs.values()))
    module = RegressionModule(
        any_inputs.shape[1] - width,
        {target: space.components for target, space in spaces.items()},
        options.model_dump(mode="json"),
    )
    seen = np.concatenate([inputs[subject][part.training] for subject, part in rows.items()])
    statistics = Standardization.of(seen)
    module.mean.copy_(torch.from_numpy(statistics.mean))
    module.scale.copy_(torch.from_numpy(statistics.scale))
    data = PooledTrials(
        rows, torch.from_numpy(np.concatenate(tables)), options.batch_size, options.seed
    )
    plan = FitPlan(options.max_epochs, options.patience, options.precision, options.seed)
    checkpoint, curves = fit(module, data, plan, folder, name)
    best = RegressionModule.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True)
    return best.eval(), curves


@torch.no_grad()
def _predict(
    module: RegressionModule, inputs: Array, spaces: Mapping[str, TargetSpace]
) -> dict[str, Array]:
    """Predict targets (trial, ...) in their own units from inputs (trial, column)."""
    scores = module(torch.from_numpy(inputs))
    return {target: space.values(scores[target].numpy()) for target, space in spaces.items()}
