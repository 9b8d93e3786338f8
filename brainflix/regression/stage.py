"""The stage ``regress``: predict the targets of test trials, by a network and by ridge."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

from brainflix.artifacts.responses import check_studies, check_trials, read_trials
from brainflix.artifacts.stimuli import Array, Clips, Labels, read_clips
from brainflix.artifacts.store import (
    create,
    open_artifact,
    read_strings,
    staged_folder,
    write_dataset,
    write_json,
)
from brainflix.artifacts.targets import read_target
from brainflix.config.recipe import RegressionConfig
from brainflix.console import announce
from brainflix.errors import ArtifactError, ConfigError
from brainflix.learning.cohort import HISTORY, models
from brainflix.learning.training import Curves
from brainflix.provenance import code_digest
from brainflix.regression.fitting import Predicted, SharedTrials, TargetCohort, regress_cohort

PREDICTIONS = "predictions.h5"
_OWNED = ("*.ckpt", HISTORY, "logs")


def regress(
    shared: Path,
    responses: Mapping[str, Path],
    targets: Mapping[str, Mapping[str, Path]],
    stimuli: Mapping[str, Path],
    options: RegressionConfig,
    out: Path,
) -> None:
    """Fit on training trials and predict every head's target for each test trial.

    Predictions of a clip's repeats are averaged within a subject, never across subjects; those of
    single trials are kept as well.

    Parameters
    ----------
    shared : Path
        The alignment's "shared" artifact. Its ``pooling`` says whether subjects share a network.
    responses : mapping of str to Path
        "study/subject" to the "responses" artifact, for ridge.
    targets : mapping of str to mapping of str to Path
        Study and target to the "target" artifact.
    stimuli : mapping of str to Path
        Study to its "stimuli" artifact.
    options : RegressionConfig
        The section; ``heads`` names the targets.
    out : Path
        The folder: checkpoints, ``predictions.h5``, ``history.json`` and ``logs``.

    Raises
    ------
    ConfigError
        Without any head.
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
    subjects, validation, pooling = read_shared(shared, responses, clips)

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
            )
            part, curves[name] = regress_cohort(cohort, options, folder, name)
            predicted.update(part)
        write_json(
            folder / HISTORY,
            {"models": {name: curve.as_json() for name, curve in curves.items()}},
        )
        with create(
            folder / PREDICTIONS,
            "predictions",
            configuration=options.model_dump(mode="json"),
            seed=options.seed,
            inputs=[
                shared,
                *responses.values(),
                *(path for paths in targets.values() for path in paths.values()),
                *stimuli.values(),
            ],
            code=code_digest(__name__),
        ) as file:
            file.attrs["pooling"] = pooling
            _write_means(file, clips, values)
            for subject, predictions in predicted.items():
                _write_predicted(file.create_group(subject), predictions)
    announce("regress", f"{_summary(curves)}; leaves {out / PREDICTIONS}")


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


def read_shared(
    path: Path, responses: Mapping[str, Path], clips: Mapping[str, Clips]
) -> tuple[dict[str, SharedTrials], dict[str, Labels], str]:
    """Read the subjects' places in the shared space beside their responses.

    Returns
    -------
    subjects : dict of str to SharedTrials
    validation : dict of str to ndarray of str
        By study.
    pooling : str

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
            trials = read_trials(source, subject)
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
            subjects[subject] = SharedTrials(trials, group["shared"][()], group["input"][()])
        validation = {s: np.array(read_strings(file[f"validation/{s}"])) for s in clips}
        return subjects, validation, str(file.attrs["pooling"])


def _subjects(file: h5py.File) -> list[str]:
    studies = [name for name in file if name != "validation"]
    return [f"{study}/{subject}" for study in studies for subject in file[study]]


def _write_means(
    file: h5py.File, clips: Mapping[str, Clips], values: Mapping[str, Mapping[str, Array]]
) -> None:
    """Write each target's mean over a study's training clips."""
    for study, targets in values.items():
        for target, found in targets.items():
            mean = found[clips[study].training].mean(axis=0, dtype=np.float64)
            axes = [f"axis{k}" for k in range(mean.ndim)]
            name = f"training_mean/{study}/{target}"
            write_dataset(file, name, mean.astype(np.float32), axes)


def _write_predicted(group: h5py.Group, predicted: Predicted) -> None:
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


def _summary(curves: Mapping[str, Curves]) -> str:
    """Say by how much the network lowered the validation loss."""
    first = [curve.values["validation_loss"][0] or 0.0 for curve in curves.values()]
    kept = [curve.values["validation_loss"][curve.best] or 0.0 for curve in curves.values()]
    change = 1 - sum(kept) / sum(first) if sum(first) else 0.0
    return f"validation loss {change:.1%} below the start's"
