"""A narrow index of a BIDS derivatives folder: file names alone, a subject at a time."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from brainflix.config import Positive, Section
from brainflix.errors import ConfigError, StudyError

RUN_ENTITIES = ("ses", "task", "acq", "ce", "rec", "dir", "run")
_SUBJECT = re.compile(r"^sub-[A-Za-z0-9]+$")
_ENTITY = re.compile(r"^([a-z]+)-([A-Za-z0-9+]+)$")


class BidsOptions(Section):
    """What the ``bids`` reader takes of a derivatives folder, and how it understands it."""

    space: str | None = Field(default=None, description="space entity; needed when several exist")
    format: Literal["nifti", "cifti"] | None = Field(
        default=None, description="needed when both exist"
    )
    desc: str = Field(default="preproc", description="desc entity of NIfTI series")
    suffix: str = Field(default="bold", description="suffix of the series")
    entities: dict[str, str] = Field(
        default_factory=dict, description="further entities that a series must have"
    )
    mask: str | None = Field(
        default=None, description="mask relative to the root; {subject} is replaced"
    )
    train_tasks: tuple[str, ...] = Field(
        default=(), description="tasks whose runs train; by default stimuli.tsv tells"
    )
    test_tasks: tuple[str, ...] = Field(default=(), description="tasks whose runs test")
    ignore_runs: tuple[str, ...] = Field(
        default=(), description="names of runs left out, such as task-train_run-03"
    )
    exclude_trial_types: tuple[str, ...] = Field(
        default=(), description="trial types that show no clip, such as oddball"
    )
    clip_column: Literal["stim_file", "trial_type"] = Field(
        default="stim_file", description="column of events.tsv that tells what was shown"
    )
    clip_duration: Positive | None = Field(
        default=None,
        description="s; cuts movies that stimuli.tsv does not list",
    )
    stimuli: str = Field(default="stimuli", description="folder of the stimuli")
    stimuli_table: str = Field(default="stimuli.tsv", description="table of the clips")
    raw: str | None = Field(
        default=None, description="raw BIDS folder that holds events.tsv, relative to the root"
    )

    @model_validator(mode="after")
    def _tasks_differ(self) -> BidsOptions:
        both = sorted(set(self.train_tasks) & set(self.test_tasks))
        if both:
            raise ValueError(f"train_tasks and test_tasks share {both}")
        return self

    def extensions(self) -> tuple[str, ...]:
        """Return the extensions of the series that are looked for."""
        nifti, cifti = (".nii.gz", ".nii"), (".dtseries.nii",)
        return {"nifti": nifti, "cifti": cifti, None: nifti + cifti}[self.format]

    def wants(self, task: str) -> bool:
        """Return whether runs of a task belong to the study's training or test runs."""
        tasks = (*self.train_tasks, *self.test_tasks)
        return not tasks or task in tasks


@dataclass(frozen=True)
class BidsFile:
    """A file whose name follows BIDS.

    Parameters
    ----------
    path : Path
        The file, starting with the study's root as it was given.
    entities : mapping of str to str
        Such as {"sub": "01", "task": "train"}.
    suffix, extension : str
        Such as "bold" and ".nii.gz".
    """

    path: Path
    entities: Mapping[str, str]
    suffix: str
    extension: str

    @property
    def run(self) -> tuple[tuple[str, str], ...]:
        """The entities that tell one recording of a subject from another."""
        return tuple((k, self.entities[k]) for k in RUN_ENTITIES if k in self.entities)


def run_name(run: Sequence[tuple[str, str]]) -> str:
    """Return a recording's name, such as "ses-01_task-train_run-02"."""
    return "_".join(f"{key}-{value}" for key, value in run) or "run"


def run_order(run: Sequence[tuple[str, str]]) -> list[tuple[str, int, str]]:
    """Return a key that sorts recordings by session, task and number, "10" behind "9"."""
    return [(key, int(value) if value.isdigit() else -1, value) for key, value in run]


def parse_name(path: Path) -> BidsFile | None:
    """Return the parts of a BIDS file name, or None for another name."""
    stem, dot, extension = path.name.partition(".")
    *pairs, suffix = stem.split("_")
    entities = {}
    for pair in pairs:
        match = _ENTITY.match(pair)
        if match is None:
            return None
        entities[match[1]] = match[2]
    if "sub" not in entities or "-" in suffix:
        return None
    return BidsFile(path, entities, suffix, dot + extension)


def list_subjects(root: Path) -> tuple[str, ...]:
    """Return the names of the folders sub-* in a study, sorted.

    Raises
    ------
    StudyError
        When the study's folder is not there.
    """
    if not root.is_dir():
        raise StudyError(
            "the study is not there",
            expected="a folder",
            found="a file" if root.exists() else "nothing",
            where=root,
            remedy="correct the study's root, or simulate or download it first",
        )
    with os.scandir(root) as entries:
        return tuple(sorted(e.name for e in entries if _SUBJECT.match(e.name) and e.is_dir()))


def list_files(root: Path, subject: str) -> list[BidsFile]:
    """Return the BIDS files of a subject: its own folder, its sessions, their func and anat.

    Raises
    ------
    StudyError
        When the study or the subject is not there.
    """
    known = list_subjects(root)
    if subject not in known:
        raise StudyError(
            "the subject is not in the study",
            expected=", ".join(known) or "folders sub-*",
            found=subject,
            where=root,
        )
    base = root / subject
    with os.scandir(base) as entries:
        folders = sorted(e.name for e in entries if e.is_dir() and e.name.startswith("ses-"))
    places = [base]
    for parent in (base, *(base / name for name in folders)):
        places += [parent] if parent is not base else []
        places += [parent / kind for kind in ("func", "anat") if (parent / kind).is_dir()]
    found = []
    for place in places:
        for name in sorted(os.listdir(place)):
            if name.startswith(f"{subject}_") and not name.startswith("."):
                file = parse_name(place / name)
                if file is not None:
                    found.append(file)
    return found


def choose_series(files: Sequence[BidsFile], options: BidsOptions) -> list[BidsFile]:
    """Return the time series of one space, one a recording, in the order of recording.

    ``desc`` binds NIfTI files only: fMRIPrep writes CIFTI files without it.

    Raises
    ------
    ConfigError
        When several spaces are there and none was chosen.
    StudyError
        When a recording has several files.
    """
    fitting = [
        file
        for file in files
        if file.suffix == options.suffix
        and file.extension in options.extensions()
        and (file.extension == ".dtseries.nii" or file.entities.get("desc") == options.desc)
        and all(file.entities.get(key) == value for key, value in options.entities.items())
        and options.space in (None, file.entities.get("space", "native"))
        and options.wants(file.entities.get("task", ""))
        and run_name(file.run) not in options.ignore_runs
    ]
    spaces = sorted({file.entities.get("space", "native") for file in fitting})
    if len(spaces) > 1:
        raise ConfigError(
            "the study holds its runs in several spaces",
            expected="the reader's option space, one of " + ", ".join(spaces),
            found="none",
            where=fitting[0].path.parent,
        )
    chosen: dict[tuple[tuple[str, str], ...], BidsFile] = {}
    for file in fitting:
        other = chosen.setdefault(file.run, file)
        if other is not file:
            raise StudyError(
                "a run has several files",
                expected="one",
                found=f"{other.path.name} and {file.path.name}",
                where=file.path.parent,
                remedy="choose by the reader's options format or entities, such as {res: '2'}",
            )
    return sorted(chosen.values(), key=lambda file: run_order(file.run))


def companion(
    files: Sequence[BidsFile], series: BidsFile, suffix: str, extensions: Sequence[str], desc: str
) -> BidsFile | None:
    """Return the file that belongs to a series, the most specific one that applies.

    A file applies when each of its entities but ``desc`` is that of the series, and its space is
    the series' space: a mask may stand for a run, a session or a subject.
    """
    best = None
    for file in files:
        if file.suffix != suffix or file.extension not in extensions:
            continue
        own = {key: value for key, value in file.entities.items() if key != "desc"}
        if file.entities.get("desc", "") != desc:
            continue
        if any(series.entities.get(key) != value for key, value in own.items()):
            continue
        if suffix == "mask" and own.get("space") != series.entities.get("space"):
            continue
        if best is None or len(file.entities) > len(best.entities):
            best = file
    return best
