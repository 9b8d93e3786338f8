"""A narrow index of a BIDS derivatives folder: file names alone, one subject at a time.

Why not pybids: a workflow lists its inputs at every start, and pybids indexes every file with its
metadata in a database first. Listing 520 runs among 5,721 files took 0.3 s here and 21 s there
(``benchmarks/bids_index.py`` measures both on one machine).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from brainflix.config.base import Positive, Section
from brainflix.errors import ConfigError, StudyError

CIFTI, GIFTI = ".dtseries.nii", ".func.gii"
HEMISPHERES = ("L", "R")
RUN_ENTITIES = ("ses", "task", "acq", "ce", "rec", "dir", "run")
_SUBJECT = re.compile(r"^sub-[A-Za-z0-9]+$")
_ENTITY = re.compile(r"^([a-z]+)-([A-Za-z0-9+]+)$")


class BidsOptions(Section):
    """What the ``bids`` reader takes of a derivatives folder, and how it understands it."""

    space: str | None = Field(default=None, description="space entity; needed when several exist")
    format: Literal["nifti", "cifti", "gifti"] | None = Field(
        default=None, description="needed when several exist in one space"
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
        default=(), description="tasks whose runs train; by default stimuli.tsv decides"
    )
    test_tasks: tuple[str, ...] = Field(default=(), description="tasks whose runs test")
    ignore_runs: tuple[str, ...] = Field(
        default=(), description="names of runs left out, such as task-train_run-03"
    )
    exclude_trial_types: tuple[str, ...] = Field(
        default=(), description="trial types that show no clip, such as oddball"
    )
    clip_column: Literal["stim_file", "trial_type"] = Field(
        default="stim_file", description="column of events.tsv that names what was shown"
    )
    clip_duration: Positive | None = Field(
        default=None,
        description="s; cuts movies that stimuli.tsv does not list",
    )
    event_offset: float = Field(
        default=0.0,
        allow_inf_nan=False,
        description="s added to each onset, for events that count from the first stimulus",
    )
    movies: dict[str, str] = Field(
        default_factory=dict,
        description="for runs without events: name of the run (wildcards allowed) to the file "
        "that it shows once, from event_offset on",
    )
    repetition_time: Positive | None = Field(
        default=None, description="s; overrules sidecars and headers, which it should not need to"
    )
    derivatives: str = Field(
        default="",
        description="folder of the series, relative to the root, such as "
        "derivatives/fmriprep; events may then lie in the root",
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
        known = {"nifti": (".nii.gz", ".nii"), "cifti": (CIFTI,), "gifti": (GIFTI,)}
        every = tuple(extension for extensions in known.values() for extension in extensions)
        return every if self.format is None else known[self.format]

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
        """The entities that distinguish the recordings of a subject."""
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
        When the study's folder does not exist.
    """
    if not root.is_dir():
        raise StudyError(
            "the study does not exist",
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
        When the study or the subject does not exist.
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
    files = []
    for place in places:
        for name in sorted(os.listdir(place)):
            if name.startswith(f"{subject}_") and not name.startswith("."):
                file = parse_name(place / name)
                if file is not None:
                    files.append(file)
    return files


def choose_series(files: Sequence[BidsFile], options: BidsOptions) -> list[BidsFile]:
    """Return the time series of one space, one per recording, in the order of recording.

    Of a recording in GIFTI, that is the file of the left hemisphere; :func:`hemispheres` has the
    other. ``desc`` binds NIfTI files only: fMRIPrep writes the other two without it.

    Raises
    ------
    ConfigError
        When there are several spaces and none was chosen.
    StudyError
        When a recording has several files.
    """
    fitting = [
        file
        for file in files
        if file.suffix == options.suffix
        and file.extension in options.extensions()
        and (file.extension in (CIFTI, GIFTI) or file.entities.get("desc") == options.desc)
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
    for file in sorted(fitting, key=lambda file: file.entities.get("hemi", "")):
        other = chosen.setdefault(file.run, file)
        if other.entities.get("hemi") == file.entities.get("hemi") and other is not file:
            raise StudyError(
                "a run has several files",
                expected="one",
                found=f"{other.path.name} and {file.path.name}",
                where=file.path.parent,
                remedy="choose by the reader's options format or entities, such as {res: '2'}",
            )
    return sorted(chosen.values(), key=lambda file: run_order(file.run))


def hemispheres(
    files: Sequence[BidsFile], series: BidsFile, options: BidsOptions
) -> tuple[BidsFile, ...]:
    """Return the files that make up a recording: one, or one per hemisphere, the left one first.

    Raises
    ------
    StudyError
        When a hemisphere is missing that the option ``entities`` does not leave out.
    """
    if series.extension != GIFTI or "hemi" in options.entities:
        return (series,)
    same = {key: value for key, value in series.entities.items() if key != "hemi"}
    sides = {
        file.entities.get("hemi"): file
        for file in files
        if (file.extension, file.suffix) == (series.extension, series.suffix)
        and {key: value for key, value in file.entities.items() if key != "hemi"} == same
    }
    if set(sides) != set(HEMISPHERES):
        raise StudyError(
            "a hemisphere of a run is missing",
            expected="files of hemi-L and hemi-R",
            found=", ".join(f"hemi-{name}" for name in sorted(str(key) for key in sides)),
            where=series.path,
            remedy="restore the file, or take one hemisphere alone by the reader's option "
            "entities: {hemi: L}",
        )
    return tuple(sides[name] for name in HEMISPHERES)


def same_entity(key: str, value: str, other: str | None) -> bool:
    """Return whether two values of an entity agree; run-1 is run-01."""
    if key == "run" and value.isdigit() and other is not None and other.isdigit():
        return int(value) == int(other)
    return value == other


def companion(
    files: Sequence[BidsFile], series: BidsFile, suffix: str, extensions: Sequence[str], desc: str
) -> BidsFile | None:
    """Return the file that belongs to a series, the most specific one that applies.

    A file applies when each of its entities but ``desc`` is that of the series, and its space is
    the series' space: a mask may belong to a run, a session or a subject.
    """
    best = None
    for file in files:
        if file.suffix != suffix or file.extension not in extensions:
            continue
        own = {key: value for key, value in file.entities.items() if key != "desc"}
        if file.entities.get("desc", "") != desc:
            continue
        entities = series.entities
        if not all(same_entity(key, value, entities.get(key)) for key, value in own.items()):
            continue
        if suffix == "mask" and own.get("space") != series.entities.get("space"):
            continue
        if best is None or len(file.entities) > len(best.entities):
            best = file
    return best
