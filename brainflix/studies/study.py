"""What every study is, whatever its layout on disk: clips, runs, events and voxels."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from brainflix.config.base import Section
from brainflix.config.studies import StudySource
from brainflix.errors import ConfigError, StudyError, _require
from brainflix.formats.links import refuse_links_out
from brainflix.formats.voxel_space import VoxelSpace
from brainflix.studies.options import NoOptions, validate_options

SPLITS = ("train", "test")
_CLIP_ID = re.compile(r"^\w[\w.+-]*$")


@dataclass(frozen=True)
class Clip:
    """A stimulus segment.

    Parameters
    ----------
    id : str
        Name of the clip, unique in its study and fit for a file name.
    split : {"train", "test"}
        What the clip may be used for.
    group : str
        The run, segment or scene it belongs to; a group never straddles splits.
    path : Path or None
        The video or image file; None when the study holds the frames itself, or has none.
    onset, duration : float
        Where the clip lies in ``path``, in s.
    captions : tuple of str
        Descriptions, possibly none.
    attributes : mapping of str to str
        Labels such as the object that is seen.

    Raises
    ------
    StudyError
        When a field has an impossible value.
    """

    id: str
    split: str
    group: str
    path: Path | None = None
    onset: float = 0.0
    duration: float = 1.0
    captions: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        where = f"clip {self.id!r}"
        _require(
            bool(_CLIP_ID.match(self.id)),
            "a clip's name must be fit for a file name",
            expected="letters, digits and . _ + -, starting with a letter or digit",
            found=self.id,
        )
        _require(
            self.split in SPLITS, "unknown split", expected=SPLITS, found=self.split, where=where
        )
        _require(bool(self.group), "a clip has no group", where=where)
        _require(
            math.isfinite(self.onset) and self.onset >= 0,
            "a clip starts before its file",
            expected="an onset of 0 s or more",
            found=self.onset,
            where=where,
        )
        _require(
            math.isfinite(self.duration) and self.duration > 0,
            "a clip has no duration",
            expected="more than 0 s",
            found=self.duration,
            where=where,
        )


@dataclass(frozen=True)
class Event:
    """One presentation of a clip: onset and duration in s from the run's first volume."""

    onset: float
    duration: float
    clip: str

    def __post_init__(self) -> None:
        _require(
            math.isfinite(self.onset) and math.isfinite(self.duration) and self.duration >= 0,
            "an event has an impossible time",
            expected="a finite onset and a duration of 0 s or more",
            found=(self.onset, self.duration),
            where=f"event of clip {self.clip!r}",
        )


@dataclass(frozen=True)
class Run:
    """One recording of one subject.

    Parameters
    ----------
    id : str
        Name of the run, unique for the subject.
    subject : str
        Label of the subject, such as "sub-01".
    split : {"train", "test"}
        The split of all of its clips.
    group : str
        Label of the set of clips that it shows; runs of one group are repeats of each other.
    repeat : int
        How many earlier runs of the subject showed the same set.
    paths : tuple of Path
        Files that hold the responses.
    repetition_time : float
        TR in s.
    n_volumes : int
        Volumes on disk, before trimming.
    events : tuple of Event
        Presentations in the order of their onsets; at least one.
    start_time : float
        Time in s, from the start of the run, that the first volume stands for (fMRIPrep's
        ``StartTime`` after slice-timing correction).
    confounds : Path or None
        The table of confounds.
    trialwise : bool
        True when a row is the response to an event (a beta) instead of a volume; the i-th row
        belongs to the i-th event.
    """

    id: str
    subject: str
    split: str
    group: str
    repeat: int
    paths: tuple[Path, ...]
    repetition_time: float
    n_volumes: int
    events: tuple[Event, ...]
    start_time: float = 0.0
    confounds: Path | None = None
    trialwise: bool = False

    def __post_init__(self) -> None:
        where = f"{self.subject}, run {self.id}"
        _require(
            self.split in SPLITS, "unknown split", expected=SPLITS, found=self.split, where=where
        )
        _require(
            0.05 <= self.repetition_time <= 30,
            "the repetition time is not plausible",
            expected="0.05 to 30 s",
            found=f"{self.repetition_time:g} s",
            where=where,
            remedy="give RepetitionTime in s in the run's JSON sidecar",
        )
        _require(bool(self.events), "a run shows no clip", where=where)
        _require("/" not in self.id and bool(self.id), "a run has an unusable name", where=where)
        if self.trialwise:
            _require(
                len(self.events) == self.n_volumes,
                "rows and trials differ in number",
                expected=f"{len(self.events)} rows, one for each trial",
                found=self.n_volumes,
                where=where,
            )
        else:
            self._check_length(where)

    def _check_length(self, where: str) -> None:
        """Refuse events past the end; a stimulus may outlast the recording by under one TR."""
        last = max(self.events, key=lambda event: event.onset + event.duration)
        length = self.n_volumes * self.repetition_time
        end = last.onset + last.duration
        _require(
            end < length + self.repetition_time,
            "a run is shorter than its stimuli",
            expected=f"at least {end:g} s: clip {last.clip} starts at {last.onset:g} s",
            found=f"{self.n_volumes} volumes of {self.repetition_time:g} s, {length:g} s",
            where=f"{where}, {self.paths[0] if self.paths else 'no file'}",
            remedy="replace a truncated recording, or correct onset and duration in events.tsv",
        )


class Study(ABC):
    """A study on disk. A new layout is a subclass and one entry in ``READERS``.

    Making one reads nothing but its options; runs and clips are indexed when they are asked for.

    Parameters
    ----------
    source : StudySource
        Root folder (or file) and the reader's own options.

    Attributes
    ----------
    Options : type of Section
        The reader's options; a subclass names its own.

    Raises
    ------
    ConfigError
        For an unknown option or an impossible value.
    """

    Options: ClassVar[type[Section]] = NoOptions

    def __init__(self, source: StudySource) -> None:
        self.root = Path(source.root)
        self.links_to = source.links_to
        where = f"options of study {source.root}"
        given = self.given_options(source)
        self.options: Any = validate_options(self.Options, given, source.reader, where)

    @classmethod
    def given_options(cls, source: StudySource) -> Mapping[str, Any]:
        """Return the options as they are given, not yet validated."""
        return source.options

    @abstractmethod
    def subjects(self) -> tuple[str, ...]:
        """Return the labels of the subjects on disk, sorted."""

    @abstractmethod
    def clips(self) -> Sequence[Clip]:
        """Return all clips, in a stable order."""

    @abstractmethod
    def runs(self, subject: str) -> Sequence[Run]:
        """Return a subject's runs in the order of their recording, checked against the clips."""

    @abstractmethod
    def voxels(self, subject: str) -> VoxelSpace:
        """Return where the columns of :meth:`load` lie; the same for each run of a subject."""

    @abstractmethod
    def load(self, run: Run) -> np.ndarray:
        """Return a run's responses, float32 (volume, voxel); not to be written to."""

    @abstractmethod
    def files(self, subject: str | None = None) -> list[Path]:
        """Return the files that a subject's runs (None: that the stimuli) are read from.

        A cheap listing for the workflow: it opens no image and no video.
        """

    def checked_files(self, subject: str | None = None) -> list[Path]:
        """Return :meth:`files`, or refuse a link among them that leads out of the study."""
        files = self.files(subject)
        refuse_links_out(files, self.root, self.links_to)
        return files

    def confounds(self, run: Run, names: Sequence[str]) -> np.ndarray:
        """Return columns of a run's confounds table, float64 (volume, column)."""
        raise StudyError(
            "this study has no confounds",
            expected="a study in BIDS layout",
            found=f"confounds {list(names)}",
            where=f"{run.subject}, run {run.id}",
            remedy="leave preprocessing.cleaning.confounds empty",
        )

    def notices(self, subject: str) -> tuple[str, ...]:
        """Return what a reader of a subject's results must know of its data, a sentence each.

        Such as that the responses were estimated with the help of test trials. They are written
        into the artifact cleaned.h5 and printed.
        """
        return ()

    def frames(self, clip: Clip) -> np.ndarray | None:
        """Return a clip's frames, uint8 (frame, height, width, 3), if the study holds them.

        None means that they are to be decoded from ``clip.path``.
        """
        return None


class StudyForms:
    """A study that is published in several forms; the option ``form`` names the one on disk.

    Attributes
    ----------
    FORMS : mapping of str to type of Study
        The reader of each form; the first is the default.
    """

    FORMS: ClassVar[Mapping[str, type[Study]]]

    @classmethod
    def choose(cls, source: StudySource) -> type[Study]:
        """Return the reader of the form that the options name.

        Raises
        ------
        ConfigError
            For an unknown form.
        """
        form = source.options.get("form", next(iter(cls.FORMS)))
        if not isinstance(form, str) or form not in cls.FORMS:
            raise ConfigError(
                f"unknown form of the study: {form!r}",
                expected="one of " + ", ".join(cls.FORMS),
                where=f"options.form of study {source.root}",
            )
        return cls.FORMS[form]


def check_groups(clips: Sequence[Clip]) -> None:
    """Raise :class:`StudyError` when two clips share a name or a group straddles the splits."""
    splits: dict[str, str] = {}
    names: set[str] = set()
    for clip in clips:
        _require(
            clip.id not in names,
            "two clips have one name",
            expected="names that are unique in the study",
            found=clip.id,
            remedy="give the column clip in stimuli.tsv different names",
        )
        names.add(clip.id)
        before = splits.setdefault(clip.group, clip.split)
        _require(
            before == clip.split,
            "a group of clips straddles the splits",
            expected=f"group {clip.group} in {before} alone",
            found=f"clip {clip.id} in {clip.split}",
            remedy="put whole groups into one split, or name smaller groups",
        )


def number_repeats(
    shown: Sequence[frozenset[str]], labels: Sequence[str | None]
) -> list[tuple[str, int]]:
    """Return the group and repeat of each run of a subject from the clips that it shows.

    Parameters
    ----------
    shown : sequence of frozenset of str
        The set of clips of each run, in the order of recording.
    labels : sequence of str or None
        The group that all clips of the run share in the study, if they do.

    Returns
    -------
    list of (str, int)
        A label that stands for one set of clips, and how many runs showed that set before.
    """
    names: dict[frozenset[str], str] = {}
    counts: dict[frozenset[str], int] = {}
    numbered = []
    for clips, label in zip(shown, labels, strict=True):
        if clips not in names:
            name = label or f"set-{len(names) + 1:02d}"
            if name in names.values():
                name = f"{name}.set-{len(names) + 1:02d}"
            names[clips] = name
        counts[clips] = counts.get(clips, -1) + 1
        numbered.append((names[clips], counts[clips]))
    return numbered
