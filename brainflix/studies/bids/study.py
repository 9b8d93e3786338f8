"""BIDS derivatives as fMRIPrep writes them: NIfTI with masks, CIFTI-2 dtseries, or GIFTI."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from brainflix.config.studies import StudySource
from brainflix.errors import ConfigError, StudyError
from brainflix.formats import images
from brainflix.formats.surfaces import (
    is_surface,
    read_surface_header,
    read_surface_rows,
    surface_space,
)
from brainflix.formats.voxel_space import VoxelSpace
from brainflix.studies.bids.confounds import read_confounds
from brainflix.studies.bids.events import Showing, presentations, recording_showings
from brainflix.studies.bids.index import CIFTI, GIFTI, HEMISPHERES, BidsOptions, list_subjects
from brainflix.studies.bids.masks import masked_voxels
from brainflix.studies.bids.recordings import (
    Recording,
    list_recordings,
    read_sidecar,
    sidecar_seconds,
)
from brainflix.studies.bids.stimuli import (
    Stimulus,
    StimulusTable,
    clip_name,
    cut_movie,
    read_stimuli,
    video_duration,
)
from brainflix.studies.study import SPLITS, Clip, Event, Run, Study, check_groups, number_repeats


class BidsStudy(Study):
    """A study as a BIDS derivatives folder with events.tsv, stimuli/ and stimuli.tsv.

    A run whose event shows a movie is cut into the clips that ``stimuli.tsv`` lists for it; an
    event that shows a clip of its own is one presentation. The split comes from ``stimuli.tsv``
    or from the task. Without ``stimuli.tsv`` each stimulus of the events is a clip.
    """

    Options: ClassVar[type[BidsOptions]] = BidsOptions
    options: BidsOptions

    def __init__(self, source: StudySource) -> None:
        super().__init__(source)
        self._recordings: dict[str, list[Recording]] = {}
        self._runs: dict[str, tuple[Run, ...]] = {}
        self._voxels: dict[str, VoxelSpace] = {}
        self._seen: set[str] = set()

    @property
    def series_folder(self) -> Path:
        """The folder that holds the subjects' series."""
        return self.root / self.options.derivatives

    @property
    def stimuli_folder(self) -> Path:
        """The folder that stim_file is relative to."""
        return self.root / self.options.stimuli

    @property
    def stimuli_table(self) -> Path:
        """The table of the clips, which need not exist."""
        return self.root / self.options.stimuli_table

    def subjects(self) -> tuple[str, ...]:
        """Return the names of the folders sub-*."""
        return list_subjects(self.series_folder)

    def recordings(self, subject: str) -> list[Recording]:
        """Return a subject's recordings: series, mask, events, confounds and sidecar."""
        if subject not in self._recordings:
            self._recordings[subject] = list_recordings(self.root, subject, self.options)
        return self._recordings[subject]

    def files(self, subject: str | None = None) -> list[Path]:
        """Return the files of a subject's runs and the table of clips, or those of the stimuli."""
        list_subjects(self.series_folder)
        table = [self.stimuli_table] if self.stimuli_table.is_file() else []
        if subject is not None:
            files = {path for one in self.recordings(subject) for path in one.files()}
            return [*sorted(files), *table]
        return [*table, *(self.stimuli_folder / name for name in self.stimulus_names())]

    def stimulus_names(self) -> list[str]:
        """Return the files of the stimuli folder that clips lie in, sorted; none is opened."""
        if self.stimuli_table.is_file():
            return sorted(self.stimuli.by_file)
        return sorted({one.file for _, one in self._all_showings() if one.file is not None})

    def _all_showings(self) -> Iterator[tuple[Recording, Showing]]:
        for subject in self.subjects():
            for recording in self.recordings(subject):
                for showing in recording_showings(recording, self.options):
                    yield recording, showing

    @functools.cached_property
    def stimuli(self) -> StimulusTable:
        """The clips that the table lists, or, without a table, that the events show."""
        if self.stimuli_table.is_file():
            return read_stimuli(self.stimuli_table, self.options.stimuli)
        clips: dict[str, Stimulus] = {}
        for recording, showing in self._all_showings():
            for stimulus in self._unlisted(showing, self.task_split(recording), recording):
                before = clips.setdefault(stimulus.clip, stimulus)
                _refuse_two_meanings(before, stimulus, showing)
        return StimulusTable(clips.values(), self.stimuli_table)

    def _unlisted(
        self, showing: Showing, split: str | None, recording: Recording
    ) -> list[Stimulus]:
        """Return the clips that an event shows in a study without stimuli.tsv."""
        if split is None:
            raise ConfigError(
                "nothing says which runs train and which test",
                expected=f"{self.stimuli_table}, or the reader's options train_tasks, test_tasks",
                where=showing.where,
            )
        length, cut = showing.duration, self.options.clip_duration
        if length is None and cut is not None and recording.movie is not None:
            length = video_duration(self._existing(showing.file or "", showing.where))
        if showing.file is not None and cut is not None and length is not None and length > cut:
            return cut_movie(showing.file, length, cut, split)
        name = showing.clip or clip_name(showing.file or "")
        return [Stimulus(name, showing.file, duration=length, split=split, group=name)]

    def clips(self) -> tuple[Clip, ...]:
        """Return the clips in the order of the table; lengths of whole files are looked up."""
        clips = tuple(self._clip(stimulus) for stimulus in self.stimuli.by_clip.values())
        check_groups(clips)
        return clips

    def _clip(self, stimulus: Stimulus) -> Clip:
        path = None if stimulus.file is None else self._existing(stimulus.file, self.stimuli.where)
        duration = stimulus.duration
        if duration is None:
            duration = 1.0 if path is None else video_duration(path)
        return Clip(
            id=stimulus.clip,
            split=stimulus.split or self._shown_splits.get(stimulus.clip, ""),
            group=stimulus.group or stimulus.clip,
            path=path,
            onset=stimulus.onset,
            duration=duration,
            captions=stimulus.captions,
            attributes=stimulus.attributes,
        )

    @functools.cached_property
    def _shown_splits(self) -> dict[str, str]:
        """The split of each clip by the task that shows it, for a table without splits."""
        splits: dict[str, str] = {}
        for subject in self.subjects():
            for recording in self.recordings(subject):
                split = self.task_split(recording)
                showings = recording_showings(recording, self.options)
                for event in presentations(showings, self.stimuli):
                    if split is not None and splits.setdefault(event.clip, split) != split:
                        raise _straddling(event.clip, recording.series.path)
        return splits

    def _existing(self, file: str, where: object) -> Path:
        path = self.stimuli_folder / file
        if file not in self._seen and not path.is_file():
            raise StudyError(
                "a stimulus file does not exist",
                expected=path,
                found="nothing",
                where=where,
                remedy="correct stim_file, which is relative to the folder "
                f"{self.stimuli_folder}, or restore the file",
            )
        self._seen.add(file)
        return path

    def task_split(self, recording: Recording) -> str | None:
        """Return the split of a recording's task, None when the options do not say."""
        for split, tasks in zip(
            SPLITS, (self.options.train_tasks, self.options.test_tasks), strict=True
        ):
            if recording.task in tasks:
                return split
        return None

    def runs(self, subject: str) -> tuple[Run, ...]:
        """Return a subject's runs; headers are read, so that a short run is found here."""
        if subject not in self._runs:
            recordings = self.recordings(subject)
            events = [self._events(recording) for recording in recordings]
            shown = [frozenset(event.clip for event in one) for one in events]
            numbers = number_repeats(shown, [self._common_group(clips) for clips in shown])
            self._runs[subject] = tuple(
                self._run(subject, recording, tuple(own), group, repeat)
                for recording, own, (group, repeat) in zip(recordings, events, numbers, strict=True)
            )
            self._refuse_straddling(self._runs[subject])
        return self._runs[subject]

    def _refuse_straddling(self, runs: Sequence[Run]) -> None:
        splits: dict[str, str] = {}
        for run in runs:
            for event in run.events:
                if splits.setdefault(event.clip, run.split) != run.split:
                    raise _straddling(event.clip, run.paths[0])

    def _events(self, recording: Recording) -> list[Event]:
        showings = recording_showings(recording, self.options)
        for showing in showings:
            if showing.file is not None:
                self._existing(showing.file, showing.where)
        return presentations(showings, self.stimuli)

    def _common_group(self, clips: frozenset[str]) -> str | None:
        groups = {self.stimuli.by_clip[clip].group for clip in clips}
        return groups.pop() if len(groups) == 1 else None

    def _run(
        self, subject: str, recording: Recording, events: tuple[Event, ...], group: str, repeat: int
    ) -> Run:
        header = read_series_header(recording.paths)
        sidecar = read_sidecar(recording.sidecar)
        given = sidecar_seconds(sidecar, "RepetitionTime", recording.sidecar)
        repetition_time = images.plausible_seconds(given) if given else header.repetition_time
        repetition_time = self.options.repetition_time or repetition_time
        if repetition_time is None:
            raise StudyError(
                "nothing gives the repetition time",
                expected="RepetitionTime in the JSON sidecar, or a TR in the header",
                where=recording.series.path,
                remedy="write the sidecar, or set the reader's option repetition_time",
            )
        return Run(
            id=recording.name,
            subject=subject,
            split=self._split(recording, events),
            group=group,
            repeat=repeat,
            paths=recording.paths,
            repetition_time=repetition_time,
            n_volumes=header.n_volumes,
            events=events,
            start_time=sidecar_seconds(sidecar, "StartTime", recording.sidecar) or 0.0,
            confounds=recording.confounds,
        )

    def _split(self, recording: Recording, events: Sequence[Event]) -> str:
        """Return the one split of a run's clips and task, or refuse a run of both."""
        task = self.task_split(recording)
        splits = {self.stimuli.by_clip[event.clip].split or task for event in events} | {task}
        splits -= {None}
        if len(splits) != 1:
            raise StudyError(
                "a run must belong to one split",
                expected="clips of one split, which is that of the task",
                found=", ".join(sorted(str(split) for split in splits)) or "no split at all",
                where=recording.events or recording.series.path,
                remedy="correct the column split of stimuli.tsv or the options train_tasks and "
                "test_tasks; a run that mixes both cannot be cleaned without looking at test data",
            )
        return str(splits.pop())

    def voxels(self, subject: str) -> VoxelSpace:
        """Return grayordinates, vertices, or the voxels in the mask of each training run."""
        if subject not in self._voxels:
            runs = {run.id: run for run in self.runs(subject)}
            recordings = self.recordings(subject)
            first = recordings[0].series
            space = first.entities.get("space", "")
            if first.extension == GIFTI:
                hemispheres = [self.options.entities.get("hemi", name) for name in HEMISPHERES]
                paths = recordings[0].paths
                self._voxels[subject] = surface_space(paths, hemispheres[: len(paths)], space)
            elif first.extension == CIFTI:
                self._voxels[subject] = images.read_grayordinates(first.path, space)
            else:
                training = [one for one in recordings if runs[one.name].split == "train"]
                self._voxels[subject] = masked_voxels(training or recordings, space)
        return self._voxels[subject]

    def load(self, run: Run) -> np.ndarray:
        """Return a run's responses, float32 (volume, voxel)."""
        voxels = self.voxels(run.subject)
        if is_surface(run.paths[0]):
            return read_surface_rows(run.paths, voxels)
        return images.read_rows(run.paths[0], voxels)

    def confounds(self, run: Run, names: Sequence[str]) -> np.ndarray:
        """Return columns of the confounds table, float64 (volume, column).

        A name is a column, may hold wildcards, such as ``a_comp_cor_0?``, or is that of a strategy,
        such as ``motion24``, see :mod:`brainflix.studies.bids.confounds`. Cells that are n/a, as in
        the first line of a derivative, take the mean of their column.
        """
        if run.confounds is None:
            raise StudyError(
                "a run has no confounds table",
                expected="a file *_desc-confounds_timeseries.tsv",
                found="nothing",
                where=run.paths[0],
            )
        return read_confounds(run.confounds, names, run.n_volumes)


def read_series_header(paths: Sequence[Path]) -> images.SeriesHeader:
    """Return the header of a series, of its first file where each hemisphere has one."""
    read = read_surface_header if is_surface(paths[0]) else images.read_header
    return read(paths[0])


def _straddling(clip: str, where: Path) -> StudyError:
    return StudyError(
        "a clip is shown in training and in test runs",
        expected="clips of one split",
        found=clip,
        where=where,
        remedy="leave out one of the runs by the reader's option ignore_runs",
    )


def _refuse_two_meanings(before: Stimulus, stimulus: Stimulus, showing: Showing) -> None:
    if before.split != stimulus.split:
        raise _straddling(stimulus.clip, Path(showing.where))
    if before.file != stimulus.file:
        raise StudyError(
            "two stimuli lead to one clip name",
            expected="file names that differ in more than their suffix and special characters",
            found=f"{before.file} and {stimulus.file}",
            where=showing.where,
            remedy="write a stimuli.tsv with a column clip",
        )
