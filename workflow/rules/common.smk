"""The validated configuration, and what rules derive from it."""

import re
import shlex
import sys
from pathlib import Path

from brainflix.artifacts.layout import VIDEOS, Layout
from brainflix.components import (
    BRAIN_ENCODERS,
    CAPTIONERS,
    ENCODERS,
    FINETUNINGS,
    GENERATORS,
    LOSSES,
    PRETRAININGS,
    PRIORS,
    READERS,
    REGRESSORS,
)
from brainflix.config import dump_options, freeze, frozen_path, load_layers
from brainflix.config.experiment import MAIN
from brainflix.config.resolution import made_models, model_names
from brainflix.errors import BrainflixError
from brainflix.metrics.catalogue import METRICS
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


# The configuration: the files named on the command line, or the config.yaml next to the Snakefile
# or in the working directory, and over them what --config says

NAMED = [str(path) for path in workflow.overwrite_configfiles]
DEFAULT = [
    str(path)
    for path in (Path("config.yaml"), Path(workflow.basedir, "config.yaml"))
    if path.is_file()
]
CONFIG = or_stop(load_layers, NAMED or DEFAULT[:1], workflow.config_settings.config)
CONFIG_FILE = frozen_path(CONFIG)
LAYOUT = Layout(CONFIG)
RESULTS = LAYOUT.results
LOGS = RESULTS.parent / "logs"

# Every stage runs in the interpreter that runs snakemake, activated or not, unless a deployment
# method brings another, and finds the configuration of this run in a file that never changes.
PYTHON = [] if workflow.deployment_settings.deployment_method else [Path(sys.executable).parent]
PREFIX = "".join(f"export PATH={shlex.quote(str(folder))}:$PATH; " for folder in PYTHON)
PREFIX += f"CONFIG={shlex.quote(str(CONFIG_FILE))}; "
shell.prefix(PREFIX.replace("{", "{{").replace("}", "}}"))


def root(study):
    return str(Path(CONFIG.studies[study].root))


SIMULATED = {
    root(name): name for name, study in CONFIG.studies.items() if study.simulation is not None
}
# decoding paths by their folder below the results: (experiment, path)
BRANCHES = {
    LAYOUT.branch(name, path): (name, path)
    for name, experiment in CONFIG.experiments.items()
    for path in experiment.decoding_paths()
}
# generators and captioners that others take from: EXPERIMENT/generators/NAME
NODES = {
    f"{name}/{place}": node
    for name, experiment in CONFIG.experiments.items()
    for place, node in experiment.used_nodes().items()
}


wildcard_constraints:
    root=one_of(SIMULATED),
    study=one_of(CONFIG.studies),
    subject=one_of({s for study in CONFIG.studies.values() for s in study.subjects}),
    target=one_of(CONFIG.targets),
    experiment=one_of(CONFIG.experiments),


# What a stage is told: a section of the configuration. It is a parameter of the rule, so that
# editing it, and nothing else, runs the rule again; the stage reads it from the configuration.


def of_study(*path):
    """Return a function of the wildcards that yields a part of the study's section."""

    def section(wildcards):
        found = CONFIG.studies[wildcards.study]
        for name in path:
            found = getattr(found, name)
        return dump_options(found)

    return section


def source(wildcards):
    return dump_options(CONFIG.source(wildcards.study))


def digests(section):
    """Return a digest of the pretrained models' files, so that other weights run a rule again."""
    return ",".join(model_digest(name) for name in model_names(section))


def made(experiment, section):
    """Return the files of models that a section takes from stages of the same experiment."""
    return [LAYOUT.model_mark(experiment, model) for model in made_models(section)]


# Files: what a study, an experiment and its subjects consist of


def source_files(study, subject=None):
    """Return the files that a study, or one subject's runs, are read from."""
    folder = root(study)
    if folder in SIMULATED:
        name = f"{subject}/{subject}_scans.tsv" if subject else "stimuli.tsv"
        return [f"{folder}/{name}"]
    from brainflix.studies.readers import source_files as listed

    return or_stop(listed, CONFIG.source(study), subject)


def of_subjects(experiment, artifact):
    """Return an artifact of each subject of an experiment."""
    return [getattr(LAYOUT, artifact)(*pair) for pair in LAYOUT.subjects(experiment)]


def of_studies(experiment, artifact, *names):
    """Return an artifact of each study of an experiment."""
    return [getattr(LAYOUT, artifact)(study, *names) for study in LAYOUT.studies(experiment)]


def trials_of(experiment):
    """Return what any stage that fits trials of an experiment reads."""
    return {
        "responses": of_subjects(experiment, "responses"),
        "voxels": of_subjects(experiment, "voxels"),
        "stimuli": of_studies(experiment, "stimuli"),
    }


def inputs_of(experiment, node, study, subject):
    """Return the files of all inputs of a generator or captioner."""
    files = [
        path
        for source in node.given.values()
        for path in LAYOUT.input_files(experiment, source, study, subject).values()
    ]
    return list(dict.fromkeys([*files, LAYOUT.stimuli(study), *made(experiment, node)]))


def results_of(experiment):
    """Return what an experiment ends with: its page, or the predictions of its paths."""
    section = CONFIG.experiments[experiment]
    if section.videos:
        return [LAYOUT.page(experiment)]
    return [LAYOUT.predictions(experiment, path) for path in section.decoding_paths()]


# Decoding paths: `branch` is a path's folder below the results, EXPERIMENT or EXPERIMENT/paths/NAME


def section_of(branch):
    """Return a decoding path's section."""
    experiment, path = BRANCHES[branch]
    return CONFIG.experiments[experiment].decoding_paths()[path]


def named(wildcards):
    """Return what names a decoding path on the command line."""
    experiment, path = BRANCHES[wildcards.branch]
    return experiment if path == MAIN else f"{experiment} --path {path}"


def aligned_files(wildcards):
    experiment, section = BRANCHES[wildcards.branch][0], section_of(wildcards.branch).alignment
    return {
        **trials_of(experiment),
        "targets": of_studies(experiment, "target", section.target),
        "models": made(experiment, section),
    }


def regressed_files(wildcards):
    experiment, path = BRANCHES[wildcards.branch]
    section, shared = section_of(wildcards.branch).regression, LAYOUT.shared(experiment, path)
    targets = [
        file for target in section.heads for file in of_studies(experiment, "target", target)
    ]
    return {
        **trials_of(experiment),
        "targets": targets,
        "models": made(experiment, section),
        "shared": [] if shared is None else [shared],
    }


def align_code(wildcards):
    component = section_of(wildcards.branch).alignment.component
    return code_digest("brainflix.alignment.stage", BRAIN_ENCODERS.module(component))


def regress_code(wildcards):
    section = section_of(wildcards.branch).regression
    losses = {name for head in section.heads.values() for name in head.losses}
    return code_digest(
        "brainflix.regression.stage",
        REGRESSORS.module(section.component),
        *sorted({LOSSES.module(name) for name in losses}),
    )


def restored_files(wildcards):
    experiment, path = BRANCHES[wildcards.branch]
    folder = LAYOUT.regression(experiment, path)
    return {
        "predictions": folder / "predictions.h5",
        "restorable": folder / "restorable.h5",
        "targets": [
            file
            for target in section_of(wildcards.branch).priors
            for file in of_studies(experiment, "target", target)
        ],
        "stimuli": of_studies(experiment, "stimuli"),
    }


def restore_code(wildcards):
    priors = section_of(wildcards.branch).priors.values()
    return code_digest(
        "brainflix.prior.stage", *sorted({PRIORS.module(prior.component) for prior in priors})
    )


ALIGNED = [branch for branch in BRANCHES if section_of(branch).alignment]
REGRESSED = [branch for branch in BRANCHES if section_of(branch).regression]
RESTORED = [branch for branch in BRANCHES if section_of(branch).priors]
PRETRAINED = [name for one in CONFIG.experiments.values() for name in one.pretraining]
FINETUNED = [name for one in CONFIG.experiments.values() for name in one.finetuning]


# Generators and captioners: `place` is a node's folder below the experiment's


def node_code(kind):
    """Return a params function: the digest of the stage's code and of the node's component."""

    def digest(wildcards):
        node = node_of(wildcards)
        return code_digest("brainflix.generation.stage", kind.module(node.component))

    return digest


def node_of(wildcards):
    place = getattr(wildcards, "place", VIDEOS)
    return NODES[f"{wildcards.experiment}/{place}"]


def node_files(wildcards):
    node = node_of(wildcards)
    return inputs_of(wildcards.experiment, node, wildcards.study, wildcards.subject)


def baselines(wildcards):
    """Return the variants next to the network's, which the final generator decides for all."""
    return CONFIG.experiments[wildcards.experiment].generation.baselines


def places(kind):
    """Return the places, KIND/NAME, of the generators or captioners that others take from."""
    found = [Path(name).parts[1:] for name in NODES]
    return sorted({"/".join(parts) for parts in found if parts[0] == kind})


# Evaluation and report


def judged(wildcards):
    """Return what the evaluation of an experiment reads."""
    experiment = CONFIG.experiments[wildcards.experiment]
    first = next(iter(experiment.decoding_paths()))
    compare = experiment.compare
    return {
        "predictions": LAYOUT.predictions(wildcards.experiment, first),
        "videos": [
            LAYOUT.clips(wildcards.experiment, VIDEOS, *pair)
            for pair in LAYOUT.subjects(wildcards.experiment)
        ],
        "stimuli": of_studies(wildcards.experiment, "stimuli"),
        "targets": [
            file
            for target in experiment.predicted(first)
            for file in of_studies(wildcards.experiment, "target", target)
        ],
        "compare": [] if compare is None else [LAYOUT.predictions(compare)],
    }


def shown(wildcards):
    """Return what the page of an experiment shows."""
    from brainflix.cli.stages import shown_artifacts

    return list(shown_artifacts(LAYOUT, wildcards.experiment).values())
