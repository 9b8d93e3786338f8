"""The command line's application, and the arguments that several subcommands share.

A stage is imported when its arguments have been read, so that help and mistakes are answered at
once. Whatever a person can mend (:class:`brainflix.errors.BrainflixError`) ends in one message and
exit code 2.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from brainflix import __version__
from brainflix.artifacts.layout import Layout
from brainflix.config import load_config
from brainflix.config.base import _short
from brainflix.config.experiment import Config
from brainflix.console import log_to
from brainflix.errors import ConfigError

HELP = "Reconstruct the video a person watched from their fMRI."
STAGES, DATA = "Stages of the workflow", "Data and configurations"

app = typer.Typer(
    name="brainflix",
    help=HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

ConfigFile = Annotated[
    Path,
    typer.Option("--config", help="The configuration: a YAML file, or the JSON file of a run."),
]
Study = Annotated[str, typer.Argument(help="A study of the configuration.")]
Subject = Annotated[str, typer.Argument(help="The subject's label, such as sub-01.")]
Experiment = Annotated[str, typer.Argument(help="An experiment of the configuration.")]
DEFAULT_CONFIG = Path("config.yaml")


def layout_of(path: Path) -> Layout:
    """Read a configuration and return where its artifacts lie."""
    return Layout(load_config(path))


def require(name: str, known: object, kind: str) -> None:
    """Raise :class:`ConfigError` where the configuration has no study, target, ... of a name."""
    names = [*known]  # type: ignore[misc]
    if name not in names:
        raise ConfigError(
            f"no {kind} {name!r} in the configuration",
            expected="one of " + ", ".join(map(str, names)) if names else f"a {kind}",
            found=_short(name),
        )


def require_subject(config: Config, study: str, subject: str) -> None:
    """Raise :class:`ConfigError` where there is no such study or subject."""
    require(study, config.studies, "study")
    require(subject, config.studies[study].subjects, f"subject of {study}")


def require_member(config: Config, experiment: str, study: str, subject: str) -> None:
    """Raise :class:`ConfigError` where an experiment has no such study or subject."""
    require(experiment, config.experiments, "experiment")
    cohorts = config.subjects(experiment)
    require(study, cohorts, f"study of {experiment}")
    require(subject, cohorts[study], f"subject of {study} in {experiment}")


def _show_version(asked: bool) -> None:
    if asked:
        print(f"brainflix {__version__}")
        raise typer.Exit


@app.callback(help=HELP)
def _common(
    log: Annotated[
        Path | None, typer.Option(help="A file for all output; the terminal keeps the main lines.")
    ] = None,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    if log is not None:
        log_to(log)
