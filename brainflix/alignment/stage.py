"""The stage ``align``: from responses and clip embeddings to a space that subjects share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from brainflix.alignment.fitting import Placed, align_cohort
from brainflix.artifacts.responses import Trials, check_studies, check_trials, read_trials
from brainflix.artifacts.stimuli import read_clips
from brainflix.artifacts.store import create, staged_folder, write_dataset, write_json
from brainflix.artifacts.targets import read_target
from brainflix.config.recipe import AlignmentConfig
from brainflix.console import announce
from brainflix.learning.cohort import HISTORY, Cohort, choose_validation, models
from brainflix.learning.training import Curves
from brainflix.provenance import code_digest

SHARED = "shared.h5"
_OWNED = ("*.ckpt", HISTORY, "logs")


def align(
    responses: Mapping[str, Path],
    targets: Mapping[str, Path],
    stimuli: Mapping[str, Path],
    options: AlignmentConfig,
    out: Path,
) -> None:
    """Fit the shared space on training trials and write every trial's place in it.

    Parameters
    ----------
    responses : mapping of str to Path
        "study/subject" to a "responses" artifact.
    targets, stimuli : mapping of str to Path
        Study to the artifact of the clips' embeddings, and to its stimuli.
    options : AlignmentConfig
        The section. ``pooling`` is "joint" for one model of all subjects (``best.ckpt``), or
        "separate" for one a subject (``{study}_{subject}.ckpt``).
    out : Path
        The folder: checkpoints, ``shared.h5``, ``history.json`` (curves a model) and ``logs``.

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
    trials = {name: read_trials(path, name, options.window) for name, path in responses.items()}
    for found in trials.values():
        check_trials(found, clips[found.study])
    validation = choose_validation(clips, options)

    placed: dict[str, Placed] = {}
    curves: dict[str, Curves] = {}
    with staged_folder(out, SHARED, _OWNED) as folder:
        for name, members in models(list(trials), options.pooling).items():
            own = {trials[subject].study for subject in members}
            cohort = Cohort(
                trials={subject: trials[subject] for subject in members},
                clips={study: clips[study] for study in studies if study in own},
                embeddings={study: embeddings[study] for study in studies if study in own},
                validation=validation,
            )
            part, curves[name] = align_cohort(cohort, options, folder, name)
            placed.update(part)
        write_json(
            folder / HISTORY,
            {"models": {name: curve.as_json() for name, curve in curves.items()}},
        )
        inputs = [*responses.values(), *targets.values(), *stimuli.values()]
        _write_shared(folder / SHARED, trials, placed, validation, options, inputs)
    announce("align", f"{_summary(curves)}; leaves {out / SHARED}")


def _write_shared(
    path: Path,
    trials: Mapping[str, Trials],
    placed: Mapping[str, Placed],
    validation: Mapping[str, object],
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
        for study, clips in validation.items():
            write_dataset(file, f"validation/{study}", clips, ("clip",))
        for subject, found in trials.items():
            group = file.create_group(subject)
            for name in ("clip", "split", "run", "repeat"):
                write_dataset(group, name, getattr(found, name), ("trial",))
            for name in ("shared", "input", "embedding"):
                write_dataset(group, name, getattr(placed[subject], name), ("trial", "dim"))


def _summary(curves: Mapping[str, Curves]) -> str:
    """Say how well validation clips are retrieved by the kept weights."""
    kept = [curve.values["validation_retrieval"][curve.best] or 0.0 for curve in curves.values()]
    return f"validation clips retrieved in {sum(kept) / len(kept):.0%} of single trials"
