"""Cross-validation of alignment and regression within the training clips of a study.

Each fold of clip groups is predicted by models that were aligned and regressed without it: heads,
shared layers, standardisation, principal components, penalties, early stopping, all of it. Test
clips and test trials are left out altogether.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from brainflix.artifacts.predicted import Predicted
from brainflix.artifacts.responses import Trials, Window, check_studies, read_trials
from brainflix.artifacts.stimuli import Array, Clips, read_clips
from brainflix.artifacts.store import write_json
from brainflix.artifacts.targets import read_target
from brainflix.components import BRAIN_ENCODERS, REGRESSORS
from brainflix.config.recipe import AlignmentConfig, RegressionConfig
from brainflix.console import announce, track
from brainflix.learning.cohort import Cohort, choose_validation
from brainflix.learning.folds import group_folds
from brainflix.metrics.identification import identification
from brainflix.metrics.similarity import correlation_pairs
from brainflix.regression.cohort import SharedTrials, TargetCohort

ESTIMATORS = ("network", "ridge")


@dataclass(frozen=True)
class CrossvalidatedStudy:
    """What cross-validation needs of a study.

    Parameters
    ----------
    clips : Clips
    trials : dict of str to Trials
        By "study/subject".
    targets : dict of str to ndarray of float32, shape (clip, ...)
        By target; that of the alignment and those of the heads.
    """

    clips: Clips
    trials: dict[str, Trials]
    targets: dict[str, Array]


def pairwise_identification(predicted: Array, true: Array) -> float:
    """Return how often a prediction correlates more with its own clip than with another.

    Parameters
    ----------
    predicted, true : ndarray, shape (clip, ...)
        At least two clips.

    Returns
    -------
    float
        Mean over ordered pairs of clips; ties count one half; chance is 0.5.
    """
    return float(identification(correlation_pairs(predicted, true)).mean())


def crossvalidate_study(
    study: CrossvalidatedStudy,
    alignment: AlignmentConfig,
    regression: RegressionConfig,
    folds: int = 10,
    seed: int = 0,
) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    """Predict every training clip by models fitted without its group, and score the predictions.

    Parameters
    ----------
    study : CrossvalidatedStudy
        Its test clips are not looked at.
    alignment, regression : AlignmentConfig, RegressionConfig
        The sections; all subjects are pooled.
    folds : int
        Folds of clip groups.
    seed : int
        Of the folds.

    Returns
    -------
    dict
        Subject, target and estimator ("network" or "ridge") to "identification" (pairwise, by
        correlation, among all training clips) and "identification_within_folds" (the mean over
        folds, each among its own clips; predictions of one model only).
    """
    clips = study.clips
    fold = np.full(len(clips.clip), -1)
    fold[clips.training] = group_folds(clips.group[clips.training], folds, seed)
    parts: dict[str, dict[str, dict[str, Array]]] = {}
    for held in track(range(fold.max() + 1), "folds"):
        for subject, predicted in _fold(study, fold, held, alignment, regression).items():
            for target in regression.heads:
                for estimator in ESTIMATORS:
                    place = parts.setdefault(subject, {}).setdefault(target, {})
                    if estimator not in place:
                        place[estimator] = np.full_like(study.targets[target], np.nan)
                    rows = clips.rows(predicted.clip)
                    place[estimator][rows] = predicted.averaged[estimator][target]
    return {
        subject: {
            target: {
                estimator: _scores(values, study.targets[target], fold)
                for estimator, values in estimators.items()
            }
            for target, estimators in found.items()
        }
        for subject, found in parts.items()
    }


def _scores(predicted: Array, true: Array, fold: np.ndarray) -> dict[str, float]:
    """Score the clips that were predicted; a subject may not have seen all of them."""
    seen = np.isfinite(predicted.reshape(len(predicted), -1)).all(axis=1)
    within = [
        pairwise_identification(predicted[chosen], true[chosen])
        for held in range(fold.max() + 1)
        if (chosen := seen & (fold == held)).sum() > 1
    ]
    return {
        "identification": pairwise_identification(predicted[seen], true[seen]),
        "identification_within_folds": float(np.mean(within)) if within else float("nan"),
    }


def _fold(
    study: CrossvalidatedStudy,
    fold: np.ndarray,
    held: int,
    alignment: AlignmentConfig,
    regression: RegressionConfig,
) -> dict[str, Predicted]:
    """Fit without one fold and predict its trials, which play the part of test trials."""
    kept = study.clips.training
    split = np.where(fold == held, "test", "train")
    clips = replace(
        study.clips,
        clip=study.clips.clip[kept],
        split=split[kept],
        group=study.clips.group[kept],
    )
    trials = {}
    for subject, every in study.trials.items():
        rows = every.training
        own = split[study.clips.rows(every.clip[rows])]
        columns = {key: getattr(every, key)[rows] for key in ("responses", "clip", "repeat", "run")}
        trials[subject] = replace(every, split=own, **columns)
    targets = {name: values[kept] for name, values in study.targets.items()}
    name = clips.study
    validation = choose_validation({name: clips}, alignment)
    cohort = Cohort(trials, {name: clips}, {name: targets[alignment.target]}, validation)
    with tempfile.TemporaryDirectory() as folder:
        encoder, regressor = BRAIN_ENCODERS[alignment.component], REGRESSORS[regression.component]
        placed, _ = encoder(alignment).fit(cohort, Path(folder) / "alignment", "fold")
        shared = {
            subject: SharedTrials(trials[subject], place.shared, place.input)
            for subject, place in placed.items()
        }
        window: Window = getattr(alignment, "window", "flatten")
        regressed = TargetCohort(shared, {name: clips}, {name: targets}, validation, window)
        predicted: dict[str, Predicted] = regressor(regression).fit(
            regressed, Path(folder) / "regression", "fold"
        )[0]
        return predicted


def crossvalidate(
    responses: Mapping[str, Path],
    targets: Mapping[str, Mapping[str, Path]],
    stimuli: Mapping[str, Path],
    alignment: AlignmentConfig,
    regression: RegressionConfig,
    out: Path,
    folds: int = 10,
) -> None:
    """Cross-validate each study by itself and write the scores.

    Parameters
    ----------
    responses : mapping of str to Path
        "study/subject" to a "responses" artifact.
    targets : mapping of str to mapping of str to Path
        Study and target to a "target" artifact.
    stimuli : mapping of str to Path
        Study to its "stimuli" artifact.
    alignment, regression : AlignmentConfig, RegressionConfig
        The sections.
    out : Path
        A JSON file: subject, target, estimator, score.
    folds : int
        Folds of clip groups.
    """
    scores: dict[str, object] = {}
    wanted = dict.fromkeys([alignment.target, *regression.heads])
    for name in check_studies(responses, stimuli, targets):
        clips = read_clips(stimuli[name], name)
        study = CrossvalidatedStudy(
            clips,
            {
                subject: read_trials(path, subject)
                for subject, path in responses.items()
                if subject.partition("/")[0] == name
            },
            {target: read_target(targets[name][target], clips) for target in wanted},
        )
        announce("crossvalidate", f"{name}: {folds} folds of {int(clips.training.sum())} clips")
        scores |= crossvalidate_study(study, alignment, regression, folds, regression.seed)
    write_json(out, {"folds": folds, "scores": scores})
    announce("crossvalidate", f"writes {out}")
