"""The stage ``align``: from responses and clip embeddings to a space that subjects share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from brainflix.alignment.encoder import BrainEncoder, Placed
from brainflix.artifacts.predicted import (
    PREDICTIONS,
    Predicted,
    finished,
    write_means,
    write_predicted,
)
from brainflix.artifacts.responses import Trials, check_studies, check_trials, read_trials
from brainflix.artifacts.stimuli import Array, Clips, read_clips
from brainflix.artifacts.store import create, staged_folder, write_dataset, write_json
from brainflix.artifacts.targets import read_target
from brainflix.components import BRAIN_ENCODERS
from brainflix.config.recipe import AlignmentConfig
from brainflix.console import announce
from brainflix.learning.cohort import HISTORY, Cohort, choose_validation, models
from brainflix.learning.training import Curves, loss_change
from brainflix.provenance import code_digest

SHARED = "shared.h5"
_OWNED = ("*.ckpt", "*.safetensors", HISTORY, "logs", PREDICTIONS)


def align(
    responses: Mapping[str, Path],
    targets: Mapping[str, Path],
    stimuli: Mapping[str, Path],
    options: AlignmentConfig,
    out: Path,
    voxels: Mapping[str, Path] | None = None,
    predict: bool = False,
) -> None:
    """Fit the shared space on training trials and write every trial's place in it.

    Parameters
    ----------
    responses : mapping of str to Path
        "study/subject" to a "responses" artifact.
    targets, stimuli : mapping of str to Path
        Study to the artifact of the clips' embeddings, and to its stimuli.
    options : AlignmentConfig
        The section of the brain encoder. ``pooling`` is "joint" for one model of all subjects,
        named "best", or "separate" for one per subject, named "{study}_{subject}".
    out : Path
        The folder: what the encoder saves, ``shared.h5``, ``history.json`` (curves of each model)
        and ``logs``.
    voxels : mapping of str to Path, optional
        "study/subject" to a "voxels" artifact, which says where the voxels lie.
    predict : bool
        Also write ``predictions.h5``: the aligned target of test trials, for a decoding path that
        ends here.

    Raises
    ------
    DataError
        When a subject has no training trials, or trials and clips do not belong together.
    ArtifactError
        When an input cannot be used.
    """
    studies = check_studies(responses, stimuli, targets)
    announce("align", f"reads {len(responses)} subjects of {', '.join(studies)}")
    clips = {study: read_clips(stimuli[study], study) for study in studies}
    embeddings = {study: read_target(targets[study], clips[study]) for study in studies}
    places = voxels or {}
    trials = {n: read_trials(path, n, places.get(n)) for n, path in responses.items()}
    for found in trials.values():
        check_trials(found, clips[found.study])
    validation = choose_validation(clips, options)
    encoder: type[BrainEncoder] = BRAIN_ENCODERS[options.component]

    placed: dict[str, Placed] = {}
    curves: dict[str, Curves] = {}
    with staged_folder(out, PREDICTIONS if predict else SHARED, _OWNED) as folder:
        for name, members in models(list(trials), options.pooling).items():
            own = {trials[subject].study for subject in members}
            cohort = Cohort(
                trials={subject: trials[subject] for subject in members},
                clips={study: clips[study] for study in studies if study in own},
                embeddings={study: embeddings[study] for study in studies if study in own},
                validation=validation,
            )
            part, curves[name] = encoder(options).fit(cohort, folder, name)
            placed.update(part)
        write_json(
            folder / HISTORY,
            {"models": {name: curve.as_json() for name, curve in curves.items()}},
        )
        inputs = [*responses.values(), *targets.values(), *stimuli.values(), *places.values()]
        _write_shared(folder / SHARED, trials, placed, validation, options, inputs)
        if predict:
            _write_predictions(folder, trials, placed, clips, embeddings, options, inputs)
    announce("align", f"{_summary(curves)}; writes {out / SHARED}")


def _write_predictions(
    folder: Path,
    trials: Mapping[str, Trials],
    placed: Mapping[str, Placed],
    clips: Mapping[str, Clips],
    embeddings: Mapping[str, Array],
    options: AlignmentConfig,
    inputs: list[Path],
) -> None:
    """Write the aligned target of all test trials, for a path without a regression."""
    with create(
        folder / PREDICTIONS,
        "predictions",
        configuration=options.model_dump(mode="json"),
        seed=options.seed,
        inputs=inputs,
        code=code_digest(__name__),
    ) as file:
        file.attrs["pooling"] = options.pooling
        target = options.target
        write_means(file, clips, {study: {target: e} for study, e in embeddings.items()})
        for subject, found in trials.items():
            test = ~found.training
            shape = embeddings[found.study].shape[1:]
            values = placed[subject].embedding[test].reshape(int(test.sum()), *shape)
            part: Predicted = finished(
                {"network": {target: values}}, found.clip[test], clips[found.study]
            )
            write_predicted(file.create_group(subject), part)


def _write_shared(
    path: Path,
    trials: Mapping[str, Trials],
    placed: Mapping[str, Placed],
    validation: Mapping[str, np.ndarray],
    options: AlignmentConfig,
    inputs: list[Path],
) -> None:
    with create(
        path,
        "shared",
        configuration=options.model_dump(mode="json"),
        seed=options.seed,
        inputs=inputs,
        code=code_digest(__name__),
    ) as file:
        file.attrs["pooling"] = options.pooling
        file.attrs["window"] = getattr(options, "window", "flatten")
        for study, clips in validation.items():
            write_dataset(file, f"validation/{study}", clips, ("clip",))
        for subject, found in trials.items():
            group = file.create_group(subject)
            for name in ("clip", "split", "run", "repeat"):
                write_dataset(group, name, getattr(found, name), ("trial",))
            for name in ("shared", "input", "embedding"):
                values = getattr(placed[subject], name)
                if values is not None:
                    axes = (
                        ["dim"]
                        if values.ndim == 2
                        else [f"axis{k}" for k in range(values.ndim - 1)]
                    )
                    write_dataset(group, name, values, ("trial", *axes))


def _summary(curves: Mapping[str, Curves]) -> str:
    """Say how well validation clips are retrieved by the kept weights, or how the loss fell."""
    name = "validation_retrieval"
    if all(name in curve.values for curve in curves.values()):
        kept = [curve.values[name][curve.best] or 0.0 for curve in curves.values()]
        return f"validation clips retrieved in {sum(kept) / len(kept):.0%} of single trials"
    return loss_change(curves)
