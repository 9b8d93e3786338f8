"""The subcommands that run one stage each, as the workflow calls them.

A stage is told what it works on by name and finds everything else in the configuration; where files
lie is known to :class:`brainflix.artifacts.layout.Layout`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from brainflix.artifacts.layout import VIDEOS, Layout
from brainflix.cli.app import (
    DEFAULT_CONFIG,
    STAGES,
    ConfigFile,
    Experiment,
    Study,
    Subject,
    app,
    layout_of,
    require,
    require_member,
    require_subject,
)
from brainflix.config.experiment import MAIN
from brainflix.config.recipe import NodeConfig

if TYPE_CHECKING:
    from brainflix.generation.sources import Connection

PathName = Annotated[
    str, typer.Option("--path", help="The decoding path; by default the main one.")
]


@app.command(rich_help_panel=STAGES)
def decode(study: Study, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Decode a study's clips to frames of one form."""
    layout = layout_of(config)
    require(study, layout.config.studies, "study")
    from brainflix.targets.decode import decode_study

    decode_study(layout.config.source(study), layout.config.stimuli, layout.stimuli(study))


@app.command(rich_help_panel=STAGES)
def encode(
    study: Study,
    target: Annotated[str, typer.Argument(help="A target of the configuration.")],
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Compute one target from a study's decoded clips."""
    layout = layout_of(config)
    require(study, layout.config.studies, "study")
    require(target, layout.config.targets, "target")
    from brainflix.targets import stage

    stage.encode(layout.stimuli(study), layout.config.targets[target], layout.target(study, target))


@app.command(rich_help_panel=STAGES)
def clean(study: Study, subject: Subject, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Trim, detrend and z-score a subject's runs."""
    layout = layout_of(config)
    require_subject(layout.config, study, subject)
    from brainflix.preprocessing import clean as stage

    section = layout.config.studies[study].preprocessing.cleaning
    stage.clean(layout.config.source(study), subject, section, layout.cleaned(study, subject))


@app.command(rich_help_panel=STAGES)
def select(study: Study, subject: Subject, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Judge voxels by their reproducibility over training repeats."""
    layout = layout_of(config)
    require_subject(layout.config, study, subject)
    from brainflix.preprocessing import select as stage

    stage.select(
        layout.cleaned(study, subject),
        layout.config.studies[study].preprocessing.selection,
        layout.voxels(study, subject),
        layout.voxel_plot(study, subject),
    )


@app.command(rich_help_panel=STAGES)
def extract(study: Study, subject: Subject, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Cut the selected voxels' response to each presentation of a clip."""
    layout = layout_of(config)
    require_subject(layout.config, study, subject)
    from brainflix.preprocessing import extract as stage

    stage.extract(
        layout.cleaned(study, subject),
        layout.voxels(study, subject),
        layout.config.studies[study].preprocessing.response,
        layout.responses(study, subject),
    )


def _of_subjects(layout: Layout, experiment: str, artifact: str) -> dict[str, Path]:
    """Return "study/subject" to an artifact of each subject of an experiment."""
    return {
        f"{study}/{subject}": getattr(layout, artifact)(study, subject)
        for study, subject in layout.subjects(experiment)
    }


def _stimuli(layout: Layout, experiment: str) -> dict[str, Path]:
    return {study: layout.stimuli(study) for study in layout.studies(experiment)}


@app.command(rich_help_panel=STAGES)
def pretrain(
    experiment: Experiment,
    name: Annotated[str, typer.Argument(help="The pretraining's name.")],
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Learn a model from runs alone."""
    layout = layout_of(config)
    require(experiment, layout.config.experiments, "experiment")
    section = layout.config.experiments[experiment]
    require(name, section.pretraining, "pretraining")
    from brainflix.pretraining import stage

    pairs = layout.pretraining_subjects(experiment, name)
    stage.pretrain(
        {f"{study}/{subject}": layout.cleaned(study, subject) for study, subject in pairs},
        {f"{study}/{subject}": layout.voxels(study, subject) for study, subject in pairs},
        layout.located(experiment, section.pretraining[name]),
        layout.made_model(experiment, "pretraining", name),
    )


@app.command(rich_help_panel=STAGES)
def align(
    experiment: Experiment, path: PathName = MAIN, config: ConfigFile = DEFAULT_CONFIG
) -> None:
    """Fit the shared space of all subjects."""
    layout = layout_of(config)
    require(experiment, layout.config.experiments, "experiment")
    paths = layout.config.experiments[experiment].decoding_paths()
    require(path, [name for name, one in paths.items() if one.alignment], "path with an alignment")
    section = paths[path].alignment
    if section is None:
        return
    from brainflix.alignment import stage

    stage.align(
        _of_subjects(layout, experiment, "responses"),
        {study: layout.target(study, section.target) for study in layout.studies(experiment)},
        _stimuli(layout, experiment),
        layout.located(experiment, section),
        layout.alignment(experiment, path),
        _of_subjects(layout, experiment, "voxels"),
        predict=paths[path].regression is None,
    )


@app.command(rich_help_panel=STAGES)
def regress(
    experiment: Experiment, path: PathName = MAIN, config: ConfigFile = DEFAULT_CONFIG
) -> None:
    """Predict the targets from the shared space, by a network and by ridge."""
    layout = layout_of(config)
    require(experiment, layout.config.experiments, "experiment")
    paths = layout.config.experiments[experiment].decoding_paths()
    require(path, [name for name, one in paths.items() if one.regression], "path with a regression")
    section = paths[path].regression
    if section is None:
        return
    from brainflix.regression import stage

    stage.regress(
        layout.shared(experiment, path),
        _of_subjects(layout, experiment, "responses"),
        {
            study: {target: layout.target(study, target) for target in section.heads}
            for study in layout.studies(experiment)
        },
        _stimuli(layout, experiment),
        layout.located(experiment, section),
        layout.regression(experiment, path),
        _of_subjects(layout, experiment, "voxels"),
        tuple(paths[path].priors),
    )


@app.command(rich_help_panel=STAGES)
def restore(
    experiment: Experiment, path: PathName = MAIN, config: ConfigFile = DEFAULT_CONFIG
) -> None:
    """Restore predicted targets by priors fitted to validation clips."""
    layout = layout_of(config)
    require(experiment, layout.config.experiments, "experiment")
    paths = layout.config.experiments[experiment].decoding_paths()
    require(path, [name for name, one in paths.items() if one.priors], "path with priors")
    priors = paths[path].priors
    from brainflix.prior import stage

    folder = layout.regression(experiment, path)
    stage.restore(
        folder / "predictions.h5",
        folder / "restorable.h5",
        {
            study: {target: layout.target(study, target) for target in priors}
            for study in layout.studies(experiment)
        },
        _stimuli(layout, experiment),
        priors,
        {target: layout.config.targets[target] for target in priors},
        layout.prior(experiment, path),
    )


@app.command(rich_help_panel=STAGES)
def finetune(
    experiment: Experiment,
    name: Annotated[str, typer.Argument(help="The finetuning's name.")],
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Train a model further on training clips and trials."""
    layout = layout_of(config)
    require(experiment, layout.config.experiments, "experiment")
    section = layout.config.experiments[experiment]
    require(name, section.finetuning, "finetuning")
    from brainflix.finetuning import stage

    options = layout.located(experiment, section.finetuning[name])
    stage.finetune(
        _of_subjects(layout, experiment, "responses"),
        {
            study: {target: layout.target(study, target) for target in options.targets}
            for study in layout.studies(experiment)
        },
        _stimuli(layout, experiment),
        options,
        layout.made_model(experiment, "finetuning", name),
        _of_subjects(layout, experiment, "voxels"),
    )


def _connections(
    layout: Layout, experiment: str, node: NodeConfig, study: str, subject: str
) -> Mapping[str, Connection]:
    """Return where each connected input of a node lies."""
    from brainflix.generation.sources import Connection

    found = {}
    for name, source in node.given.items():
        files = layout.input_files(experiment, source, study, subject)
        found[name] = Connection(
            source.sort, str(getattr(source, source.sort)), files["file"], files.get("target")
        )
    return found


@app.command(rich_help_panel=STAGES)
def generate(
    experiment: Experiment,
    study: Study,
    subject: Subject,
    generator: Annotated[
        str | None, typer.Option(help="One of `generators`; by default the final one.")
    ] = None,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Turn predicted targets into videos, and make those of the baselines."""
    layout = layout_of(config)
    require_member(layout.config, experiment, study, subject)
    section = layout.config.experiments[experiment]
    if generator is not None:
        require(generator, section.generators, "generator")
    options = section.generation if generator is None else section.generators[generator]
    place = VIDEOS if generator is None else f"generators/{generator}"
    from brainflix.generation import stage

    stage.generate(
        _connections(layout, experiment, options, study, subject),
        layout.stimuli(study),
        study,
        subject,
        layout.located(experiment, options),
        layout.clips(experiment, place, study, subject),
        layout.movies(experiment, study, subject) if generator is None else None,
        section.generation.baselines,
    )


@app.command(rich_help_panel=STAGES)
def caption(
    experiment: Experiment,
    captioner: Annotated[str, typer.Argument(help="One of `captioners`.")],
    study: Study,
    subject: Subject,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Write a caption for each test clip, from vectors or generated clips."""
    layout = layout_of(config)
    require_member(layout.config, experiment, study, subject)
    section = layout.config.experiments[experiment]
    require(captioner, section.captioners, "captioner")
    options = section.captioners[captioner]
    from brainflix.generation import stage

    stage.caption(
        _connections(layout, experiment, options, study, subject),
        layout.stimuli(study),
        study,
        subject,
        layout.located(experiment, options),
        layout.clips(experiment, f"captioners/{captioner}", study, subject),
        section.generation.baselines,
    )


def _videos(layout: Layout, experiment: str) -> dict[str, Path]:
    """Return "study/subject" to the videos of each subject of an experiment."""
    return {
        f"{study}/{subject}": layout.clips(experiment, VIDEOS, study, subject)
        for study, subject in layout.subjects(experiment)
    }


@app.command(rich_help_panel=STAGES)
def score(experiment: Experiment, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Measure an experiment's videos next to chance, baselines and ceiling."""
    layout = layout_of(config)
    require(experiment, layout.config.experiments, "experiment")
    section = layout.config.experiments[experiment]
    from brainflix.evaluation import stage

    first = next(iter(section.decoding_paths()))
    stage.evaluate(
        _videos(layout, experiment),
        _stimuli(layout, experiment),
        layout.predictions(experiment, first),
        {
            study: {t: layout.target(study, t) for t in section.predicted(first)}
            for study in layout.studies(experiment)
        },
        section.evaluation,
        layout.evaluation(experiment),
        None if section.compare is None else layout.predictions(section.compare),
    )


@app.command(rich_help_panel=STAGES)
def report(experiment: Experiment, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Write the page that shows an experiment's results."""
    layout = layout_of(config)
    require(experiment, layout.config.experiments, "experiment")
    from brainflix.report import stage

    stage.report(
        experiment,
        layout.config.described(experiment),
        shown_artifacts(layout, experiment),
        layout.page(experiment),
    )


def shown_artifacts(layout: Layout, experiment: str) -> dict[str, Path]:
    """Return what the page shows, each under its name there."""
    section = layout.config.experiments[experiment]
    first = next(iter(section.decoding_paths()))
    shared = layout.shared(experiment, first)
    single = {
        "metrics": layout.evaluation(experiment) / "metrics.json",
        "clips": layout.evaluation(experiment) / "clips.parquet",
        "predictions": layout.predictions(experiment, first),
    } | ({} if shared is None else {"shared": shared})
    many = {
        "stimuli": _stimuli(layout, experiment),
        "voxels": _of_subjects(layout, experiment, "voxels"),
        "videos": _videos(layout, experiment),
    }
    return single | {
        f"{name}/{key}": path for name, named in many.items() for key, path in named.items()
    }
