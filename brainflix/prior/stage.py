"""The stage ``restore``: predictions of test clips, restored by priors of their targets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from brainflix.artifacts.predicted import PREDICTIONS
from brainflix.artifacts.responses import average_repeats
from brainflix.artifacts.restorable import Restorable, read_restorable
from brainflix.artifacts.stimuli import Array, Clips, Labels, read_clips
from brainflix.artifacts.store import create, open_artifact, read_strings, staged_folder
from brainflix.artifacts.targets import read_target
from brainflix.components import ENCODERS, PRIORS
from brainflix.config.recipe import PriorConfig, TargetConfig
from brainflix.console import announce
from brainflix.errors import ArtifactError
from brainflix.prior.base import Prior
from brainflix.prior.catalogue import fit_studies, make_prior
from brainflix.prior.data import Encode, Pairs, TargetForm, TrainingClips
from brainflix.provenance import code_digest
from brainflix.targets.encoders import ClipBatch
from brainflix.targets.stage import load_encoder

FITTED = "fitted"
"""Folder of the fitted priors: FITTED/TARGET/ESTIMATOR/STUDY."""


@dataclass(frozen=True)
class StudyTarget:
    """One target of a study's clips.

    Parameters
    ----------
    clips : Clips
    values : ndarray of float32, shape (clip, ...)
        In the order of the clips.
    captions : tuple of tuple of str
        Of each clip; empty where the study has none.
    """

    clips: Clips
    values: Array
    captions: tuple[tuple[str, ...], ...]


def restore(
    predictions: Path,
    restorable: Path,
    targets: Mapping[str, Mapping[str, Path]],
    stimuli: Mapping[str, Path],
    priors: Mapping[str, PriorConfig],
    models: Mapping[str, TargetConfig],
    out: Path,
) -> None:
    """Fit each prior to validation clips and restore the predictions of test clips by it.

    Neither test responses nor labels are used. Targets without a prior, and those whose prior is
    ``none``, are copied as the regression finished them; a restored target has the length that its
    prior gives it.

    Parameters
    ----------
    predictions, restorable : Path
        The regression's "predictions" and "restorable" artifacts.
    targets : mapping of str to mapping of str to Path
        Study and target to the "target" artifact.
    stimuli : mapping of str to Path
        Study to its "stimuli" artifact.
    priors : mapping of str to PriorConfig
        By target; an instance of the component's own options.
    models : mapping of str to TargetConfig
        The section of each of these targets, which names its text encoder.
    out : Path
        The folder: ``predictions.h5`` and the fitted priors, ``fitted/TARGET/ESTIMATOR/STUDY``.

    Raises
    ------
    ArtifactError
        When the regression left nothing for a target's prior, or an input cannot be used.
    DataError
        When there are too few validation clips, or no captions where a prior needs them.
    """
    announce("restore", f"reads {restorable}, priors of {', '.join(priors)}")
    with (
        staged_folder(out, PREDICTIONS, (FITTED,)) as folder,
        open_artifact(predictions, "predictions") as regressed,
        open_artifact(restorable, "restorable") as kept,
        create(
            folder / PREDICTIONS,
            "predictions",
            configuration={t: section.model_dump(mode="json") for t, section in priors.items()},
            inputs=[
                predictions,
                restorable,
                *(targets[study][target] for study in stimuli for target in priors),
                *stimuli.values(),
            ],
            code=code_digest(__name__, *sorted({_module(section) for section in priors.values()})),
        ) as file,
    ):
        file.attrs["pooling"] = regressed.attrs["pooling"]
        for name in regressed:
            regressed.copy(name, file)
        for target, section in priors.items():
            if not PRIORS[section.component].restores:
                continue
            studies = {
                study: _study_target(path, targets[study][target], study)
                for study, path in stimuli.items()
            }
            _restore_target(file, kept, target, section, models[target], studies, folder)
    announce("restore", f"writes {out / PREDICTIONS}")


def _module(section: PriorConfig) -> str:
    return PRIORS.module(section.component)


def _study_target(stimuli: Path, target: Path, study: str) -> StudyTarget:
    """Read a study's clips, one target of them, and their captions."""
    clips = read_clips(stimuli, study)
    with open_artifact(stimuli, "stimuli") as file:
        texts = read_strings(file["captions"]) if "captions" in file else []
    return StudyTarget(
        clips, read_target(target, clips), tuple(tuple(json.loads(text)) for text in texts)
    )


def _restore_target(
    file: h5py.File,
    kept: h5py.File,
    target: str,
    section: PriorConfig,
    model: TargetConfig,
    studies: Mapping[str, StudyTarget],
    folder: Path,
) -> None:
    """Fit a target's priors and write what they restore over the regression's predictions."""
    options = section.model_dump(mode="json", exclude={"component"})
    unfitted = make_prior(section.component, options)
    encode = caption_encoder(model) if unfitted.needs_captions else None
    subjects = {
        f"{study}/{subject}": read_restorable(kept[f"{study}/{subject}"], target)
        for study in studies
        if study in kept
        for subject in kept[study]
    }
    _check_restorable(subjects, target, kept.filename)
    form = TargetForm(
        target, model.encoder, model.model, next(iter(studies.values())).values.shape[1:]
    )
    # estimators err differently, so each has priors of its own
    for estimator in next(iter(subjects.values())).test:
        data = {
            study: fitting_data(subjects, estimator, form, found, encode)
            for study, found in studies.items()
        }
        for study, prior in fit_studies(section.component, options, data).items():
            prior.save(folder / FITTED / target / estimator / study)
            for subject in (name for name in subjects if name.partition("/")[0] == study):
                test = subjects[subject].test[estimator][target]
                _write_restored(file[subject], estimator, target, prior, test)


def _check_restorable(subjects: Mapping[str, Restorable], target: str, where: str) -> None:
    lacking = [subject for subject, found in subjects.items() if not found.test]
    if lacking or not subjects:
        raise ArtifactError(
            f"the regression left nothing for a prior of {target}",
            expected=f"predictions of {target} as regressed",
            found=f"none of {', '.join(lacking) or 'any subject'}",
            where=where,
            remedy="run the stage regress again, with the priors in the configuration",
        )


def fitting_data(
    subjects: Mapping[str, Restorable],
    estimator: str,
    form: TargetForm,
    found: StudyTarget,
    encode: Encode | None,
) -> tuple[Pairs, TrainingClips]:
    """Return what a study's prior is fitted to: validation pairs, and all other training clips.

    Parameters
    ----------
    subjects : mapping of str to Restorable
        By "study/subject", of any study.
    estimator : str
    form : TargetForm
    found : StudyTarget
        Of the study.
    encode : callable or None
        The target's text encoder.
    """
    study = found.clips.study
    own = {name: one for name, one in subjects.items() if name.partition("/")[0] == study}
    clip = np.concatenate([one.clip for one in own.values()])
    pairs = Pairs(
        clip,
        np.repeat([*own], [len(one.clip) for one in own.values()]),
        np.ones(len(clip), dtype=np.int64),
        np.concatenate([one.validation[estimator][form.name] for one in own.values()]),
        found.values[found.clips.rows(clip)],
    )
    rows = np.flatnonzero(found.clips.training & ~np.isin(found.clips.clip, clip))
    captions = tuple(found.captions[row] for row in rows) if found.captions else ()
    return pairs, TrainingClips(form, found.values[rows], captions, encode)


def _write_restored(
    group: h5py.Group, estimator: str, target: str, prior: Prior, test: Array
) -> None:
    """Restore a subject's test predictions, and write them in the place of the regression's."""
    trial_clip = np.array(read_strings(group["trial_clip"]))
    clip = read_strings(group["clip"])
    if len(test) != len(trial_clip):
        raise ArtifactError(
            f"predictions to restore are of other trials than the regression's of {group.name}",
            expected=f"{len(trial_clip)} test trials",
            found=f"{len(test)}",
            where=f"{estimator}/test/{target}",
            remedy="run the stage regress again",
        )
    seed = prior.options.seed
    single = prior.apply(test, 1, draw_seeds(trial_clip, seed))
    means, unique = average_repeats(test, trial_clip)
    place = {name: row for row, name in enumerate(unique.tolist())}
    means = means[[place[name] for name in clip]]  # the order of the regression's averages
    counts = np.array([int((trial_clip == name).sum()) for name in clip])
    averaged = np.empty_like(means)
    for count in np.unique(counts):
        rows = np.flatnonzero(counts == count)
        seeds = draw_seeds([clip[row] for row in rows], seed)
        averaged[rows] = prior.apply(means[rows], int(count), seeds)
    group[f"{estimator}/single/{target}"][...] = single
    group[f"{estimator}/averaged/{target}"][...] = averaged


def draw_seeds(clips: Sequence[str] | Labels, seed: int) -> list[int]:
    """Return a seed for each row that depends on its clip alone, for priors that draw."""
    digests = [hashlib.sha256(f"{seed}/{clip}".encode()).digest() for clip in clips]
    return [int.from_bytes(digest[:4], "little") for digest in digests]


def caption_encoder(model: TargetConfig) -> Encode | None:
    """Return the text encoder that a target was made with; None where it is not made of captions.

    Raises
    ------
    ModelError
        When its model lacks a part.
    """
    if not getattr(ENCODERS[model.encoder], "of_captions", False):
        return None
    encoder: Any = load_encoder(model)

    def encode(sentences: Sequence[str]) -> Array:
        # what is computed from captions alone never looks at the frames
        frames = np.zeros((len(sentences), 1, 1, 1, 3), dtype=np.uint8)
        batch = ClipBatch([*sentences], frames, [[text] for text in sentences])
        return np.asarray(encoder.encode(batch), dtype=np.float32)

    return encode
