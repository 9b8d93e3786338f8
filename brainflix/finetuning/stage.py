"""The stage ``finetune``: a generator or an encoder trained further on training clips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from brainflix.artifacts.models import MODEL, write_model_card
from brainflix.artifacts.responses import Trials, check_trials, read_trials
from brainflix.artifacts.stimuli import Clips, read_clips
from brainflix.artifacts.store import open_artifact, staged_folder
from brainflix.artifacts.targets import read_target
from brainflix.components import FINETUNINGS
from brainflix.config.recipe import FinetuningConfig
from brainflix.console import announce
from brainflix.finetuning.component import Finetuning, TrainingSet
from brainflix.provenance import code_digest


def training_trials(trials: Trials) -> Trials:
    """Return the training trials of a subject alone."""
    kept = trials.training
    columns = {key: getattr(trials, key)[kept] for key in ("responses", "clip", "repeat", "run")}
    return replace(trials, split=trials.split[kept], **columns)


def read_training_set(
    responses: Mapping[str, Path],
    targets: Mapping[str, Mapping[str, Path]],
    stimuli: Mapping[str, Path],
    voxels: Mapping[str, Path],
) -> TrainingSet:
    """Read training clips and trials of all studies."""
    clips, frames, values = {}, {}, {}
    trials = {}
    for study, path in stimuli.items():
        every = read_clips(path, study)
        kept = every.training
        for name, source in responses.items():
            if name.partition("/")[0] == study:
                found = read_trials(source, name, voxels.get(name))
                check_trials(found, every)
                trials[name] = training_trials(found)
        clips[study] = Clips(study, every.clip[kept], every.split[kept], every.group[kept])
        with open_artifact(path, "stimuli") as file:
            frames[study] = file["frames"][np.flatnonzero(kept)]
        values[study] = {
            name: read_target(target, every)[kept]
            for name, target in targets.get(study, {}).items()
        }
    return TrainingSet(clips, frames, values, trials)


def finetune(
    responses: Mapping[str, Path],
    targets: Mapping[str, Mapping[str, Path]],
    stimuli: Mapping[str, Path],
    options: FinetuningConfig,
    out: Path,
    voxels: Mapping[str, Path] | None = None,
) -> None:
    """Train a model further on the training clips and trials of a cohort.

    Parameters
    ----------
    responses : mapping of str to Path
        "study/subject" to a "responses" artifact.
    targets : mapping of str to mapping of str to Path
        Study and target to a "target" artifact, for the targets that the section names.
    stimuli : mapping of str to Path
        Study to its "stimuli" artifact.
    options : FinetuningConfig
        The section of the component.
    out : Path
        The model's folder.
    voxels : mapping of str to Path, optional
        "study/subject" to a "voxels" artifact.
    """
    announce("finetune", f"reads {len(responses)} subjects of {', '.join(stimuli)}")
    training = read_training_set(responses, targets, stimuli, voxels or {})
    component: type[Finetuning] = FINETUNINGS[options.component]
    with staged_folder(out, MODEL, ("*",)) as folder:
        component(options).fit(training, folder)
        write_model_card(folder, "finetuning", options, code_digest(__name__))
    announce("finetune", f"writes {out}")
