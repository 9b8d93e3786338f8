"""The subcommands that run one stage each, as the workflow calls them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from brainflix import config
from brainflix.cli.app import (
    Options,
    Out,
    Responses,
    Source,
    Stimuli,
    Subject,
    Targets,
    _json,
    app,
    named,
    nested,
)


@app.command()
def decode(source: Source, out: Out, options: Options = "{}") -> None:
    """Decode a study's clips to frames of one form."""
    study = config.load_options(config.StudySource, source)
    section = config.load_options(config.StimuliConfig, options)
    from brainflix.targets.decode import decode_study

    decode_study(study, section, out)


@app.command()
def encode(stimuli: Annotated[Path, typer.Argument()], options: Options, out: Out) -> None:
    """Compute one target from decoded clips."""
    section = config.load_options(config.TargetConfig, options)
    from brainflix.targets import stage

    stage.encode(stimuli, section, out)


@app.command()
def clean(source: Source, subject: Subject, out: Out, options: Options = "{}") -> None:
    """Trim, detrend and z-score a subject's runs."""
    study = config.load_options(config.StudySource, source)
    section = config.load_options(config.CleaningConfig, options)
    from brainflix.preprocessing import select as stage

    stage.clean(study, subject, section, out)


@app.command()
def select(
    cleaned: Annotated[Path, typer.Argument()],
    out: Out,
    options: Options = "{}",
    plot: Annotated[Path | None, typer.Option(help="A figure of the selection.")] = None,
) -> None:
    """Judge voxels by their reproducibility over training repeats."""
    section = config.load_options(config.SelectionConfig, options)
    from brainflix.preprocessing import select as stage

    stage.select(cleaned, section, out, plot)


@app.command()
def extract(
    cleaned: Annotated[Path, typer.Argument()],
    voxels: Annotated[Path, typer.Argument()],
    out: Out,
    options: Options = "{}",
) -> None:
    """Cut the selected voxels' response to each presentation of a clip."""
    section = config.load_options(config.ResponseConfig, options)
    from brainflix.preprocessing import select as stage

    stage.extract(cleaned, voxels, section, out)


@app.command()
def align(
    responses: Responses,
    targets: Annotated[
        list[str], typer.Option("--targets", metavar="STUDY=FILE", help="Repeat a study.")
    ],
    stimuli: Stimuli,
    out: Out,
    options: Options = "{}",
) -> None:
    """Fit the shared space of all subjects."""
    subjects = named(responses, "--responses")
    aligned = named(targets, "--targets")
    studies = named(stimuli, "--stimuli")
    section = config.load_options(config.AlignmentConfig, options)
    from brainflix.alignment import stage

    stage.align(subjects, aligned, studies, section, out)


@app.command()
def regress(
    shared: Annotated[Path, typer.Argument(help="The alignment's shared.h5.")],
    responses: Responses,
    targets: Targets,
    stimuli: Stimuli,
    options: Options,
    out: Out,
) -> None:
    """Predict the targets from the shared space, by a network and by ridge."""
    subjects = named(responses, "--responses")
    regressed = nested(targets, "--targets")
    studies = named(stimuli, "--stimuli")
    section = config.load_options(config.RegressionConfig, options)
    from brainflix.regression import stage

    stage.regress(shared, subjects, regressed, studies, section, out)


@app.command()
def generate(
    predictions: Annotated[Path, typer.Argument(help="The regression's predictions.h5.")],
    stimuli: Annotated[Path, typer.Argument(help="The study's stimuli.h5.")],
    study: Annotated[str, typer.Option(help="The study's name.")],
    subject: Subject,
    targets: Annotated[
        list[str], typer.Option("--targets", metavar="TARGET=FILE", help="Repeat a target.")
    ],
    out: Out,
    options: Options = "{}",
    mp4: Annotated[Path | None, typer.Option(help="A folder for the clips as mp4.")] = None,
) -> None:
    """Turn predicted targets into videos, with the baselines' beside them."""
    steering = named(targets, "--targets")
    section = config.load_options(config.GenerationConfig, options)
    from brainflix.generation import stage

    stage.generate(predictions, steering, stimuli, study, subject, section, out, mp4)


@app.command()
def score(
    predictions: Annotated[Path, typer.Argument(help="The regression's predictions.h5.")],
    videos: Annotated[
        list[str], typer.Option("--videos", metavar="STUDY/SUBJECT=FILE", help="Repeat a subject.")
    ],
    stimuli: Stimuli,
    targets: Targets,
    out: Out,
    options: Options = "{}",
    compare: Annotated[
        Path | None, typer.Option(help="Another experiment's predictions.h5.")
    ] = None,
) -> None:
    """Measure an experiment's videos, beside chance, baselines and ceiling."""
    subjects = named(videos, "--videos")
    studies = named(stimuli, "--stimuli")
    regressed = nested(targets, "--targets")
    section = config.load_options(config.EvaluationConfig, options)
    from brainflix.evaluation import stage

    stage.evaluate(subjects, studies, predictions, regressed, section, out, compare)


@app.command()
def report(
    experiment: Annotated[str, typer.Argument()],
    artifacts: Annotated[
        list[str], typer.Option("--artifacts", metavar="NAME=FILE", help="Repeat an artifact.")
    ],
    out: Out,
    configuration: Annotated[str, typer.Option(help="What was run, as JSON.")] = "{}",
) -> None:
    """Write the page that shows an experiment's results."""
    content = _json(configuration)
    shown = named(artifacts, "--artifacts")
    from brainflix.report import stage

    stage.report(experiment, content, shown, out)
