"""The command ``brainflix check``: which studies, and how the findings are printed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from brainflix.check.findings import Problem, StudyCheck
from brainflix.check.stage import check_study
from brainflix.check.table import show
from brainflix.config.base import parse
from brainflix.config.loading import load_config, read_yaml
from brainflix.config.studies import PreprocessingConfig, StimuliConfig, StudySource
from brainflix.errors import ConfigError


@dataclass(frozen=True)
class CheckRequest:
    """A study to be checked, and what a run would do with it."""

    name: str
    source: StudySource
    subjects: tuple[str, ...] = ()
    preprocessing: PreprocessingConfig | None = None
    stimuli: StimuliConfig | None = None
    simulated: bool = False


def configured(path: Path, study: str | None, subjects: Sequence[str]) -> list[CheckRequest]:
    """Return the studies of a configuration, or the named one.

    Raises
    ------
    ConfigError
        When the configuration is not valid, or has no such study.
    """
    config = load_config(path)
    if study is not None and study not in config.studies:
        raise ConfigError(
            "no such study",
            expected=", ".join(config.studies),
            found=study,
            where=path,
            remedy="name a study of the configuration, or its folder by --root",
        )
    return [
        CheckRequest(
            name=name,
            source=config.source(name),
            subjects=tuple(subjects) or section.subjects,
            preprocessing=section.preprocessing,
            stimuli=config.stimuli,
            simulated=section.simulation is not None,
        )
        for name, section in config.studies.items()
        if study in (None, name)
    ]


def described(
    name: str | None, root: Path, reader: str, options: str, subjects: Sequence[str]
) -> list[CheckRequest]:
    """Return the study that reader and folder describe, without a configuration."""
    text = options.strip()
    try:
        given = json.loads(text) if text.startswith("{") else read_yaml(text)
    except ValueError as error:
        raise ConfigError(
            "the options are not JSON", found=str(error), where="--options"
        ) from error
    source = parse(StudySource, {"reader": reader, "root": str(root), "options": given})
    return [CheckRequest(name or root.name, source, tuple(subjects))]


def check_all(
    requests: Sequence[CheckRequest], *, quick: bool, seconds: float, as_json: bool
) -> list[StudyCheck]:
    """Check studies and print each as soon as it is done; JSON, all at the end."""
    from rich.console import Console

    checks = []
    for request in requests:
        check = _check(request, quick, seconds)
        checks.append(check)
        if not as_json:
            console = Console(soft_wrap=True)
            show(check, console)
            console.print()
    if as_json:
        print(json.dumps([check.plain() for check in checks], indent=2))
    return checks


def _check(request: CheckRequest, quick: bool, seconds: float) -> StudyCheck:
    """Check one study; one that is simulated need not exist yet."""
    source = request.source
    if not Path(source.root).exists():
        missing = Problem(
            "fails",
            "the study does not exist",
            expected="a folder or file",
            found="nothing",
            where=source.root,
            remedy="correct the study's root; `brainflix fetch` lists where studies come from",
        )
        notice = "it is simulated, and written when the workflow runs"
        return StudyCheck(
            request.name,
            source.reader,
            source.root,
            problems=() if request.simulated else (missing,),
            notices=(notice,) if request.simulated else (),
        )
    return check_study(
        request.name,
        source,
        request.subjects,
        request.preprocessing,
        request.stimuli,
        quick=quick,
        seconds=seconds,
    )
