"""The validated configuration, and what rules derive from it."""

import json
import re
import shlex
import sys
from pathlib import Path

from brainflix.config.experiment import dump_options, validate
from brainflix.errors import BrainflixError
from brainflix.provenance import code_digest, model_digest


def or_stop(function, *arguments):
    """Call a function; an error that a person can mend ends the run with exit code 2."""
    try:
        return function(*arguments)
    except BrainflixError as error:
        print(f"brainflix: {error}", file=sys.stderr)
        sys.exit(2)


def one_of(names):
    """Return a wildcard constraint that matches exactly the given names."""
    return "|".join(re.escape(str(name)) for name in names) or "(?!)"


def root(study):
    return str(Path(CONFIG.studies[study].root))


CONFIG = or_stop(validate, config)
RESULTS = Path(CONFIG.results)
SIMULATED = {
    root(name): study.simulation
    for name, study in CONFIG.studies.items()
    if study.simulation is not None
}


wildcard_constraints:
    root=one_of(SIMULATED),
    study=one_of(CONFIG.studies),
    subject=one_of({s for study in CONFIG.studies.values() for s in study.subjects}),
    target=one_of(CONFIG.targets),
    experiment=one_of(CONFIG.experiments),


# Options: the section of the configuration that a rule's stage is given, as JSON


def section(start, path):
    for name in path:
        start = getattr(start, name)
    return dump_options(start)


def of_study(*path):
    """Return a function of the wildcards that yields a part of the study's section."""
    return lambda wildcards: section(CONFIG.studies[wildcards.study], path)


def of_experiment(*path):
    """Return a function of the wildcards that yields a part of the experiment's section."""
    return lambda wildcards: section(CONFIG.experiments[wildcards.experiment], path)


def source(wildcards):
    return dump_options(CONFIG.source(wildcards.study))


def models(*names):
    """Return a digest of the pretrained models' files, so that other weights run a rule again."""
    return ",".join(model_digest(name) for name in names if name is not None)


def judges(wildcards):
    section = CONFIG.experiments[wildcards.experiment].evaluation
    return models(
        section.clip_model,
        section.frame_classifier,
        section.video_classifier,
        section.vae_model,
        section.video_model,
        section.perceptual_model,
    )


# Files: what a study, an experiment and its subjects consist of, each under the name that a stage
# knows it by


def source_files(study, subject=None):
    """Return the files that a study, or one subject's runs, are read from."""
    folder = root(study)
    if folder in SIMULATED:
        name = f"{subject}/{subject}_scans.tsv" if subject else "stimuli.tsv"
        return [f"{folder}/{name}"]
    from brainflix.studies.readers import source_files as listed

    return or_stop(listed, CONFIG.source(study), subject)


def each_subject(pattern):
    """Return a function of the wildcards: STUDY/SUBJECT to a file of the experiment's subjects."""
    return lambda wildcards: {
        f"{study}/{subject}": str(RESULTS / pattern).format(
            experiment=wildcards.experiment, study=study, subject=subject
        )
        for study, subjects in CONFIG.subjects(wildcards.experiment).items()
        for subject in subjects
    }


def each_study(pattern):
    """Return a function of the wildcards: STUDY to a file of the experiment's studies."""
    return lambda wildcards: {
        study: str(RESULTS / pattern).format(
            study=study, aligned=CONFIG.experiments[wildcards.experiment].alignment.target
        )
        for study in CONFIG.subjects(wildcards.experiment)
    }


def regressed_targets(wildcards):
    """Return STUDY/TARGET to the file of a target that the experiment regresses."""
    return {
        f"{study}/{target}": str(RESULTS / study / "targets" / f"{target}.h5")
        for study in CONFIG.subjects(wildcards.experiment)
        for target in CONFIG.experiments[wildcards.experiment].regression.heads
    }


def generator_targets(wildcards):
    """Return TARGET to the file of a target, of one study, that the generator is steered by."""
    section = CONFIG.experiments[wildcards.experiment].generation
    return {
        target: str(RESULTS / wildcards.study / "targets" / f"{target}.h5")
        for target in (section.conditioning, section.latents)
        if target is not None
    }


def compared(wildcards):
    """Return the predictions of the experiment that this one is set beside, if there is one."""
    other = CONFIG.experiments[wildcards.experiment].compare
    return [] if other is None else [str(RESULTS / other / "regression/predictions.h5")]


def shown(wildcards):
    """Return what the report shows, each under its name there."""
    folder = RESULTS / wildcards.experiment
    single = {
        "metrics": folder / "evaluation/metrics.json",
        "clips": folder / "evaluation/clips.parquet",
        "predictions": folder / "regression/predictions.h5",
        "shared": folder / "alignment/shared.h5",
    }
    many = {
        "stimuli": each_study("{study}/stimuli.h5"),
        "voxels": each_subject("{study}/{subject}/voxels.h5"),
        "videos": each_subject("{experiment}/videos/{study}/{subject}.h5"),
    }
    return {name: str(path) for name, path in single.items()} | {
        f"{name}/{key}": path
        for name, named in many.items()
        for key, path in named(wildcards).items()
    }


def files(named):
    """Return an input function: the files of a function that names them."""
    return lambda wildcards: list(named(wildcards).values())


def flags(option, named):
    """Return a params function: the option with NAME=FILE, once a file."""
    return lambda wildcards: " ".join(
        f"{option} {shlex.quote(f'{name}={path}')}" for name, path in named(wildcards).items()
    )
