"""The command line: a subcommand a stage, files in, files out, one section of the configuration.

A stage is imported when its arguments have been read, so that help and mistakes are answered at
once. Whatever a person can mend (:class:`brainflix.errors.BrainflixError`) ends in one message and
exit code 2.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from brainflix import __version__
from brainflix.console import log_to

app = typer.Typer(
    name="brainflix",
    help="Reconstruct the video a person watched from their fMRI. A command is a stage.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Options = Annotated[
    str, typer.Option("--options", help="The stage's section: JSON text or a YAML file.")
]
Source = Annotated[
    str, typer.Option("--source", help="The study's reader, root and options: JSON or a YAML file.")
]
Subject = Annotated[str, typer.Option("--subject", help="The subject's label, such as sub-01.")]
Out = Annotated[Path, typer.Option("--out", help="Where the artifact goes.")]
Responses = Annotated[
    list[str], typer.Option("--responses", metavar="STUDY/SUBJECT=FILE", help="Repeat a subject.")
]
Targets = Annotated[
    list[str], typer.Option("--targets", metavar="STUDY/TARGET=FILE", help="Repeat a target.")
]
Stimuli = Annotated[
    list[str], typer.Option("--stimuli", metavar="STUDY=FILE", help="Repeat a study.")
]


def named(values: Iterable[str], option: str) -> dict[str, Path]:
    """Return ``NAME=FILE`` arguments as a mapping, in their order.

    Raises
    ------
    typer.BadParameter
        When a value has no name or no file, or a name is given twice.
    """
    files: dict[str, Path] = {}
    for value in values:
        name, separator, path = value.partition("=")
        if not (name and separator and path):
            raise typer.BadParameter(f"{value!r} is not NAME=FILE", param_hint=option)
        if name in files:
            raise typer.BadParameter(f"{name} is given twice", param_hint=option)
        files[name] = Path(path)
    return files


def nested(values: Iterable[str], option: str) -> dict[str, dict[str, Path]]:
    """Return ``OUTER/INNER=FILE`` arguments as a mapping of mappings, in their order."""
    files: dict[str, dict[str, Path]] = {}
    for name, path in named(values, option).items():
        outer, separator, inner = name.partition("/")
        if not (outer and separator and inner):
            raise typer.BadParameter(f"{name!r} is not STUDY/NAME", param_hint=option)
        files.setdefault(outer, {})[inner] = path
    return files


def _show_version(asked: bool) -> None:
    if asked:
        print(f"brainflix {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    log: Annotated[
        Path | None, typer.Option(help="A file for all output; the terminal keeps the main lines.")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Reconstruct the video a person watched from their fMRI. A command is a stage."""
    if log is not None:
        log_to(log)


def _json(text: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--configuration") from error
    if not isinstance(content, dict):
        raise typer.BadParameter("not a JSON object", param_hint="--configuration")
    return content
