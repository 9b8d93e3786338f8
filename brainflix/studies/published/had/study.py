"""HAD, the Human Action Dataset (Zhou et al. 2023, OpenNeuro ds004488): 21,600 clips, 30 people.

Each person saw 720 clips of their own once, four of each of 180 actions: three runs make a cycle
through all actions. The last cycle, runs 10 to 12, is the test split of each person, so that train
and test share no clip; a list of test clips for all people, as it is found with other prepared
versions, does not keep them apart and is not read.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import ClassVar

from brainflix.studies.bids.index import CIFTI, BidsFile
from brainflix.studies.bids.recordings import Recording
from brainflix.studies.bids.stimuli import StimulusTable
from brainflix.studies.bids.study import BidsStudy
from brainflix.studies.published.had.betas import HadCycles, HadPrepared
from brainflix.studies.published.had.events import (
    ONCE,
    HadCiftifyOptions,
    HadEvents,
    HadSeriesOptions,
)
from brainflix.studies.study import StudyForms


class HadFmriprep(BidsStudy):
    """fMRIPrep's time series, if the person has them."""

    Options = HadSeriesOptions
    options: HadSeriesOptions

    @functools.cached_property
    def events(self) -> HadEvents:
        """What was shown, to whom, in which run."""
        return HadEvents(self.root, self.options)

    @functools.cached_property
    def stimuli(self) -> StimulusTable:
        """The clips of all subjects, with the action as label and caption."""
        return self.events.stimuli

    def subjects(self) -> tuple[str, ...]:
        """Return the subjects that are wanted and have series."""
        wanted = self.events.wanted
        return tuple(one for one in super().subjects() if not wanted or one in wanted)

    def stimulus_names(self) -> list[str]:
        """Return the files of all clips, sorted."""
        return sorted(self.stimuli.by_file)

    def files(self, subject: str | None = None) -> list[Path]:
        """Return the files of a subject's runs, or the clips and their captions."""
        files = super().files(subject)
        captions = self.options.captions
        return files if subject or captions is None else [*files, self.root / captions]

    def task_split(self, recording: Recording) -> str | None:
        """Return the split of a recording by its number."""
        return self.events.split(int(recording.series.entities.get("run", "0")))

    def notices(self, subject: str) -> tuple[str, ...]:
        """Return that repeats are missing."""
        return (ONCE,)


class HadCiftify(HadFmriprep):
    """The published time series: ciftify's, one file per run in a folder for each subject."""

    Options = HadCiftifyOptions

    def subjects(self) -> tuple[str, ...]:
        """Return the subjects that are wanted and have results of ciftify."""
        subjects = {path.parent.name for path in self.series_folder.glob("sub-*/results")}
        return tuple(one for one in self.events.subjects() if one in subjects)

    def recordings(self, subject: str) -> list[Recording]:
        """Return a recording for each table of events; a missing series is refused."""
        if subject not in self._recordings:
            recordings = []
            for run, table in self.events.tables(subject):
                stem = f"ses-action01_task-action_run-{run}"
                path = self.series_folder / subject / "results" / f"{stem}_Atlas{CIFTI}"
                if not path.is_file():
                    raise self.events.missing(subject, stem, path)
                entities = {"sub": subject[4:], "ses": "action01", "task": "action"}
                series = BidsFile(path, {**entities, "run": str(run)}, "bold", CIFTI)
                recordings.append(Recording(series, table, None, None, None))
            self._recordings[subject] = recordings
        return self._recordings[subject]


class Had(StudyForms):
    """HAD in one of four forms.

    ``ciftify`` are the published time series, ``cycles`` the published betas, ``fmriprep`` time
    series of one's own, and ``prepared`` single-trial betas of GLMsingle as pickled arrays.
    """

    FORMS: ClassVar = {
        "ciftify": HadCiftify,
        "cycles": HadCycles,
        "fmriprep": HadFmriprep,
        "prepared": HadPrepared,
    }
