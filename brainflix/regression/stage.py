"""The stage ``regress``: predict the targets of test trials, by a network and by ridge."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from brainflix.artifacts.predicted import PREDICTIONS, Predicted, write_means, write_predicted
from brainflix.artifacts.responses import Window, check_studies, check_trials, read_trials
from brainflix.artifacts.restorable import RESTORABLE, write_restorable
from brainflix.artifacts.stimuli import Clips, Labels, read_clips
from brainflix.artifacts.store import (
    create,
    open_artifact,
    read_strings,
    staged_folder,
    write_json,
)
from brainflix.artifacts.targets import read_target
from brainflix.components import REGRESSORS
from brainflix.config.recipe import RegressionConfig
from brainflix.console import announce
from brainflix.errors import ArtifactError, ConfigError
from brainflix.learning.cohort import HISTORY, choose_validation, models
from brainflix.learning.training import Curves, loss_change
from brainflix.provenance import code_digest
from brainflix.regression.cohort import SharedTrials, TargetCohort
from brainflix.regression.regressor import Regressor

_OWNED = ("*.ckpt", HISTORY, "logs", RESTORABLE)


def regress(
    shared: Path | None,
    responses: Mapping[str, Path],
    targets: Mapping[str, Mapping[str, Path]],
    stimuli: Mapping[str, Path],
    options: RegressionConfig,
    out: Path,
    voxels: Mapping[str, Path] | None = None,
    restorable: tuple[str, ...] = (),
) -> None:
    """Fit on training trials and predict every head's target for each test trial.

    Predictions of a clip's repeats are averaged within a subject, never across subjects; those of
    single trials are kept as well.

    Parameters
    ----------
    shared : Path or None
        The alignment's "shared" artifact, whose ``pooling`` says whether subjects share a model;
        None for a path without an alignment.
    responses : mapping of str to Path
        "study/subject" to the "responses" artifact.
    targets : mapping of str to mapping of str to Path
        Study and target to the "target" artifact.
    stimuli : mapping of str to Path
        Study to its "stimuli" artifact.
    options : RegressionConfig
        The section; ``heads`` names the targets.
    out : Path
        The folder: checkpoints, ``predictions.h5``, ``history.json`` and ``logs``.
    voxels : mapping of str to Path, optional
        "study/subject" to a "voxels" artifact, which says where the voxels lie.
    restorable : tuple of str
        Targets that a prior restores; their predictions as regressed go to ``restorable.h5``.

    Raises
    ------
    ConfigError
        Without any head, or when the regressor leaves nothing that a prior can be fitted to.
    DataError
        When a subject has no training trials, or trials and clips do not belong together.
    ArtifactError
        When an input cannot be used.
    """
    studies = check_studies(responses, stimuli, targets)
    _check_heads(studies, targets, options)
    announce("regress", f"reads {len(responses)} subjects, targets {', '.join(options.heads)}")
    clips = {study: read_clips(stimuli[study], study) for study in studies}
    values = {
        study: {t: read_target(targets[study][t], clips[study]) for t in options.heads}
        for study in studies
    }
    places = voxels or {}
    pooling: str
    if shared is None:
        subjects = _unaligned(responses, places, clips)
        validation, pooling = choose_validation(clips, options), options.pooling
        window = options.window
    else:
        subjects, validation, pooling, window = read_shared(shared, responses, clips, places)
    regressor: type[Regressor] = REGRESSORS[options.component]

    predicted: dict[str, Predicted] = {}
    curves: dict[str, Curves] = {}
    with staged_folder(out, PREDICTIONS, _OWNED) as folder:
        for name, members in models(list(responses), pooling).items():
            own = [s for s in studies if any(m.partition("/")[0] == s for m in members)]
            cohort = TargetCohort(
                subjects={subject: subjects[subject] for subject in members},
                clips={study: clips[study] for study in own},
                targets={study: values[study] for study in own},
                validation=validation,
                window=window,
                restorable=restorable,
            )
            part, curves[name] = regressor(options).fit(cohort, folder, name)
            predicted.update(part)
        write_json(
            folder / HISTORY,
            {"models": {name: curve.as_json() for name, curve in curves.items()}},
        )
        origin: dict[str, Any] = {
            "configuration": options.model_dump(mode="json"),
            "seed": options.seed,
            "inputs": [
                *([] if shared is None else [shared]),
                *responses.values(),
                *(path for paths in targets.values() for path in paths.values()),
                *stimuli.values(),
                *places.values(),
            ],
            "code": code_digest(__name__),
        }
        if restorable:
            _write_restorable(folder / RESTORABLE, predicted, options.component, origin)
        with create(folder / PREDICTIONS, "predictions", **origin) as file:
            file.attrs["pooling"] = pooling
            write_means(file, clips, values)
            for subject, predictions in predicted.items():
                write_predicted(file.create_group(subject), predictions)
    announce("regress", f"{loss_change(curves)}; writes {out / PREDICTIONS}")


def _write_restorable(
    path: Path, predicted: Mapping[str, Predicted], component: str, origin: Mapping[str, Any]
) -> None:
    """Write the predictions that priors are fitted to and applied to."""
    with create(path, "restorable", **origin) as file:
        for subject, predictions in predicted.items():
            if predictions.restorable is None:
                raise ConfigError(
                    f"the regressor {component!r} leaves nothing that a prior can be fitted to",
                    expected="a regressor whose predictions have `restorable`",
                    found="none",
                    where="priors",
                    remedy="leave out the priors, or choose the regressor residual_mlp",
                )
            write_restorable(file.create_group(subject), predictions.restorable)


def _check_heads(
    studies: list[str], targets: Mapping[str, Mapping[str, Path]], options: RegressionConfig
) -> None:
    if not options.heads:
        raise ConfigError(
            "the regression has no heads",
            expected="at least one target",
            where="regression.heads",
            remedy="name the targets to predict, such as clip_image: {mse: 1.0}",
        )
    for study in studies:
        missing = sorted(set(options.heads) - set(targets[study]))
        if missing:
            raise ConfigError(
                f"targets of {study} are missing",
                expected=", ".join(options.heads),
                found=", ".join(targets[study]),
                where="regression.heads",
            )


def _unaligned(
    responses: Mapping[str, Path], voxels: Mapping[str, Path], clips: Mapping[str, Clips]
) -> dict[str, SharedTrials]:
    """Read the subjects' responses for a path without an alignment."""
    subjects = {}
    for subject, source in responses.items():
        trials = read_trials(source, subject, voxels.get(subject))
        check_trials(trials, clips[trials.study])
        subjects[subject] = SharedTrials(trials)
    return subjects


def read_shared(
    path: Path,
    responses: Mapping[str, Path],
    clips: Mapping[str, Clips],
    voxels: Mapping[str, Path],
) -> tuple[dict[str, SharedTrials], dict[str, Labels], str, Window]:
    """Read the subjects' places in the shared space beside their responses.

    Returns
    -------
    subjects : dict of str to SharedTrials
    validation : dict of str to ndarray of str
        By study.
    pooling : str
    window : {"flatten", "mean"}
        How the alignment turned responses into rows; ridge sees the same ones.

    Raises
    ------
    ArtifactError
        When a subject is missing in the shared space or its trials are others.
    DataError
        When a subject has no training trials.
    """
    subjects = {}
    with open_artifact(path, "shared") as file:
        for subject, source in responses.items():
            if subject not in file:
                raise ArtifactError(
                    f"the shared space lacks the subject {subject}",
                    expected=f"one of {', '.join(_subjects(file))}",
                    where=path,
                    remedy="run the stage align with the same subjects",
                )
            trials = read_trials(source, subject, voxels.get(subject))
            check_trials(trials, clips[trials.study])
            group = file[subject]
            labels = {"clip": trials.clip, "run": trials.run, "split": trials.split}
            if any(read_strings(group[key]) != found.tolist() for key, found in labels.items()):
                raise ArtifactError(
                    f"the shared space holds other trials of {subject} than its responses",
                    expected=f"{len(trials.clip)} trials in the order of {source}",
                    found=f"{len(group['clip'])} trials",
                    where=path,
                    remedy="run the stage align again",
                )
            own = group["input"][()] if "input" in group else None
            subjects[subject] = SharedTrials(trials, group["shared"][()], own)
        validation = {s: np.array(read_strings(file[f"validation/{s}"])) for s in clips}
        window: Window = "mean" if file.attrs.get("window") == "mean" else "flatten"
        return subjects, validation, str(file.attrs["pooling"]), window


def _subjects(file: h5py.File) -> list[str]:
    studies = [name for name in file if name != "validation"]
    return [f"{study}/{subject}" for study in studies for subject in file[study]]
