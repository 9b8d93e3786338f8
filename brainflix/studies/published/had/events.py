"""What HAD showed: the tables of events, a clip's action, and the splits of each person."""

from __future__ import annotations

import functools
import re
from pathlib import Path, PurePosixPath

from pydantic import Field

from brainflix.config.base import Positive
from brainflix.errors import StudyError
from brainflix.studies.bids.events import read_showings
from brainflix.studies.bids.index import BidsOptions, list_subjects
from brainflix.studies.bids.stimuli import Stimulus, StimulusTable, clip_name
from brainflix.studies.captions import read_captions
from brainflix.studies.options import FormOptions

RUNS_A_CYCLE = 3
DURATION = 2.0  # s
ONCE = (
    "each clip was shown once: neither reproducibility nor a noise ceiling can be estimated, and "
    "voxels are chosen by region or not at all"
)
_RUN = re.compile(r"_task-action_run-0*(\d+)_events\.tsv$")


class HadChoices(FormOptions):
    """What all forms of the study share."""

    test_runs: tuple[int, ...] = Field(
        default=(10, 11, 12), min_length=1, description="runs of each person that test"
    )
    subjects: tuple[str, ...] = Field(
        default=(), description="the people whose clips make the study; by default all on disk"
    )
    captions: str | None = Field(
        default=None,
        description="JSON of clip to captions, relative to the root; by default, the action",
    )


class HadSeriesOptions(BidsOptions, HadChoices):
    """The options of ``bids``, with the values that fit this study."""

    derivatives: str = "derivatives/fmriprep"
    space: str | None = "fsLR"
    repetition_time: Positive | None = 2.0
    event_offset: float = Field(
        default=12.0,
        allow_inf_nan=False,
        description="s from the first volume to the first clip, from which onsets count",
    )


class HadCiftifyOptions(HadSeriesOptions):
    """The same, for the published series."""

    derivatives: str = "derivatives/ciftify"


class HadBetaOptions(HadChoices):
    """The options of the forms that hold betas."""

    stimuli: str = Field(default="stimuli", description="folder of the clips")
    pattern: str = Field(
        default="derivatives/GLM/{subject}/prepared_betas/"
        "{subject}_organized_betas_task-{split}_normalized.pkl",
        description="for the form prepared: its files; {subject}, {split}, {region} are replaced",
    )
    regions: tuple[str, ...] = Field(
        default=("Group41",),
        min_length=1,
        description="for the form prepared, if {region} is in pattern",
    )


class HadEvents:
    """The tables of events of all people, read when they are asked for.

    Parameters
    ----------
    root : Path
        The folder of ds004488.
    options : HadSeriesOptions or HadBetaOptions
        Which runs test, and whose clips there are.
    """

    def __init__(self, root: Path, options: HadSeriesOptions | HadBetaOptions) -> None:
        self.root, self.options = root, options
        self.wanted = frozenset(options.subjects)
        self._bids = BidsOptions(stimuli=options.stimuli)
        self._shown: dict[str, dict[str, tuple[str, int]]] = {}

    def subjects(self) -> tuple[str, ...]:
        """Return the people that are wanted and have a folder, sorted."""
        known = list_subjects(self.root)
        return tuple(one for one in known if not self.wanted or one in self.wanted)

    def tables(self, subject: str) -> list[tuple[int, Path]]:
        """Return number and table of each of a person's runs, in order.

        Raises
        ------
        StudyError
            When the person is not in the study, or has no tables.
        """
        if subject not in self.subjects():
            raise StudyError(
                "the subject is not in the study",
                expected=", ".join(self.subjects()) or "folders sub-*",
                found=subject,
                where=self.root,
            )
        folder = self.root / subject / "ses-action01" / "func"
        numbered = [(_RUN.search(path.name), path) for path in sorted(folder.glob("*_events.tsv"))]
        ignored = getattr(self.options, "ignore_runs", ())
        tables = [(int(match[1]), path) for match, path in numbered if match is not None]
        kept = [
            (run, path)
            for run, path in tables
            if f"ses-action01_task-action_run-{run}" not in ignored
        ]
        if not kept:
            raise StudyError(
                "the subject has no events",
                expected=f"{subject}_ses-action01_task-action_run-01_events.tsv and so on",
                found=f"{len(numbered)} other tables",
                where=folder,
                remedy="download the raw folder of the subject from OpenNeuro, ds004488; the "
                "tables are small",
            )
        return sorted(kept)

    def split(self, run: int) -> str:
        """Return the split of a run by its number."""
        return "test" if run in self.options.test_runs else "train"

    def shown(self, subject: str) -> dict[str, tuple[str, int]]:
        """Return clip -> (file, run) in the order in which a person saw them.

        Raises
        ------
        StudyError
            When a clip recurs.
        """
        if subject not in self._shown:
            clips: dict[str, tuple[str, int]] = {}
            for run, table in self.tables(subject):
                for showing in read_showings(table, self._bids):
                    file = showing.file or ""
                    if clip_name(file) in clips:
                        raise StudyError(
                            "a person saw a clip twice",
                            expected="720 different clips",
                            found=file,
                            where=showing.where,
                        )
                    clips[clip_name(file)] = (file, run)
            self._shown[subject] = clips
        return self._shown[subject]

    @functools.cached_property
    def stimuli(self) -> StimulusTable:
        """The clips of all people; the action is their label and, without captions, theirs."""
        path = None if self.options.captions is None else self.root / self.options.captions
        captions = {} if path is None else read_captions(path)
        stimuli: dict[str, Stimulus] = {}
        seen_by: dict[str, str] = {}
        for subject in self.subjects():
            for clip, (file, run) in self.shown(subject).items():
                stimulus = _stimulus(clip, file, self.split(run), captions.get(clip))
                before = stimuli.setdefault(clip, stimulus)
                if before.split != stimulus.split:
                    raise StudyError(
                        "a clip trains one person's responses and tests another's",
                        expected="people who saw clips of their own, as published",
                        found=f"{file}: {seen_by[clip]} {before.split}, {subject} {stimulus.split}",
                        where=self.root,
                        remedy="leave out one of the two by the reader's option subjects",
                    )
                seen_by.setdefault(clip, subject)
        return StimulusTable(stimuli.values(), self.root)

    def missing(self, subject: str, run: str, path: Path) -> StudyError:
        """Return the error for a run whose series or betas are missing."""
        return StudyError(
            "a run is missing",
            expected=path,
            found="nothing",
            where=f"{subject}, named by its events",
            remedy=f"download it from OpenNeuro, ds004488, or list {run} under the reader's option "
            "ignore_runs",
        )


def _stimulus(clip: str, file: str, split: str, captions: tuple[str, ...] | None) -> Stimulus:
    action = PurePosixPath(file).parent.name.replace("_", " ")
    return Stimulus(
        clip=clip,
        file=file,
        duration=DURATION,
        split=split,
        group=clip,
        captions=captions or ((action.lower(),) if action else ()),
        attributes={"action": action} if action else {},
    )
