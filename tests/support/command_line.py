"""The command line, run in this process, and configurations of one study for its stages."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from brainflix.artifacts.layout import Layout
from brainflix.cli import main as cli
from brainflix.config.experiment import Config

STUDY, SUBJECT, EXPERIMENT = "it", "sub-01", "first"
ARTIFACTS = {"decode": "stimuli", "clean": "cleaned", "select": "voxels", "extract": "responses"}


def brainflix(*arguments):
    """Run the command line and return its exit code."""
    before, sys.argv = sys.argv, ["brainflix", *map(str, arguments)]
    try:
        cli.main()
    except SystemExit as end:
        return end.code or 0
    finally:
        sys.argv = before
    return 0


@dataclass(frozen=True)
class StageCall:
    """A stage on the command line.

    Parameters
    ----------
    arguments : list of str
        Without the program's name.
    out : Path
        Where its artifact lies.
    first : StageCall, optional
        The stage that must run before.
    """

    arguments: list[str]
    out: Path
    first: StageCall | None = None

    def run(self) -> int:
        """Run the stages before, which must succeed, and this one; return its exit code."""
        if self.first is not None:
            assert self.first.run() == 0
        return brainflix(*self.arguments)


def write_configuration(folder: Path, source: Mapping[str, Any], **sections: Any) -> Path:
    """Write a configuration with one study, and an experiment with it, and return its path.

    Parameters
    ----------
    folder : Path
        Receives ``configuration.yaml``, and later the folder ``results``.
    source : mapping
        The study's section: root, reader, options, links_to. Its subject is ``SUBJECT`` unless it
        names others.
    **sections
        Other sections of the configuration, such as ``preprocessing``.
    """
    content = {
        "recipe": "brain_netflix",
        "results": str(folder / "results"),
        "studies": {STUDY: {"subjects": [SUBJECT], **source}},
        "experiments": {EXPERIMENT: {"cohorts": {STUDY: "all"}}},
        **sections,
    }
    path = folder / "configuration.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def layout_in(folder: Path) -> Layout:
    """Return where the artifacts of a configuration in a folder lie; it need not be valid."""
    return Layout(Config.model_construct(results=str(folder / "results")))


def stage_call(
    stage: str,
    folder: Path,
    source: Mapping[str, Any],
    *,
    first: StageCall | None = None,
    **sections: Any,
) -> StageCall:
    """Write a configuration of a study and return the call of one of its stages.

    Parameters
    ----------
    stage : {"decode", "clean", "select", "extract"}
        The subcommand.
    folder, source, sections
        As :func:`write_configuration` takes them.
    first : StageCall, optional
        The stage that must run before.
    """
    path = write_configuration(folder, source, **sections)
    names = [STUDY] if stage == "decode" else [STUDY, SUBJECT]
    out = getattr(layout_in(folder), ARTIFACTS[stage])(*names)
    return StageCall([stage, *names, "--config", str(path)], out, first)
