"""Studies that come as arrays: one response a trial, and a picture (or frames) a clip."""

from __future__ import annotations

import functools
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from brainflix.config import Positive, Section, StudySource, parse, read_yaml
from brainflix.errors import ConfigError, StudyError
from brainflix.studies.array_files import inside, read_array
from brainflix.studies.pictures import PictureOptions, picture_frames
from brainflix.studies.readers import READERS
from brainflix.studies.study import SPLITS, Clip, Event, Run, Study, VoxelSpace, check_groups


class TrialArrays(Section):
    """Responses of one split of a subject."""

    responses: str = Field(description="array (trial, voxel) or (clip, repeat, voxel)")
    clips: str | None = Field(
        default=None, description="array (trial): which clip; by default trial i shows clip i"
    )


class SubjectArrays(Section):
    """Responses of a subject."""

    train: TrialArrays
    test: TrialArrays | None = None


class SplitArrays(Section):
    """An array for the training clips and one for the test clips."""

    train: str
    test: str | None = None


class ArraysOptions(Section):
    """Which array is what.

    An array is named FILE:NAME, FILE relative to the study's root; where the root is itself a file,
    by its NAME; an .npy file by FILE.
    """

    subjects: dict[str, SubjectArrays] = Field(min_length=1)
    stimuli: SplitArrays = Field(
        description="(clip, pixel), (clip, height, width[, 3]) or (clip, frame, height, width, 3)"
    )
    picture: PictureOptions = PictureOptions()
    labels: dict[str, SplitArrays] = Field(
        default_factory=dict, description="attributes of the clips: array (clip) of integers"
    )
    label_names: dict[str, dict[str | int, str]] = Field(
        default_factory=dict, description="what the integers of a label stand for"
    )
    caption: str | None = Field(
        default=None, description="caption of each clip, such as 'a handwritten {digit}'"
    )
    first_index: Literal[0, 1] = Field(default=0, description="what clips arrays count from")
    clips_per_group: int | None = Field(
        default=None, ge=3, description="split training clips into sets for the reproducibility"
    )
    clip_duration: Positive = Field(default=1.0, description="s that a clip is shown")


@READERS.register("arrays")
class ArrayStudy(Study):
    """A study whose responses have been estimated a trial (betas), described by its options.

    ``root`` is the folder or the one file of the arrays, or a YAML file that holds the options
    and lies in the folder of the arrays.
    """

    def __init__(self, source: StudySource) -> None:
        super().__init__(source)
        options: Mapping[str, Any] = source.options
        self.description: Path | None = None
        if self.root.suffix in (".yaml", ".yml"):
            if options:
                raise ConfigError(
                    "the study is described twice",
                    expected="options in the configuration, or a YAML file as root",
                    found=f"both: options {', '.join(options)}",
                    where=self.root,
                )
            self.description, options = self.root, read_yaml(self.root)
            self.root = self.root.parent
        self.options = parse(ArraysOptions, options, where=f"options of study {source.root}")
        self._responses: tuple[str, np.ndarray] | None = None
        self._runs: dict[str, dict[str, tuple[Run, np.ndarray]]] = {}

    def subjects(self) -> tuple[str, ...]:
        """Return the subjects that the options describe."""
        return tuple(sorted(self.options.subjects))

    def _subject(self, subject: str) -> SubjectArrays:
        if subject not in self.options.subjects:
            raise StudyError(
                "the subject is not in the study",
                expected=", ".join(self.subjects()),
                found=subject,
                where=self.root,
            )
        return self.options.subjects[subject]

    def _locate(self, reference: str) -> tuple[Path, str | None]:
        """Return the file and name of an array."""
        if self.root.is_file():
            return self.root, reference
        file, _, key = reference.partition(":")
        where = f"options of study {self.root}"
        path = inside(file, "an array file", where, "put the file into the study's folder")
        return self.root / path, key or None

    def _array(self, reference: str) -> np.ndarray:
        return read_array(*self._locate(reference))

    def files(self, subject: str | None = None) -> list[Path]:
        """Return the array files of a subject's responses, or of the stimuli and labels."""
        if subject is None:
            named = [self.options.stimuli, *self.options.labels.values()]
            references = [one for part in named for one in (part.train, part.test)]
        else:
            arrays = self._subject(subject)
            parts = [part for part in (arrays.train, arrays.test) if part is not None]
            references = [one for part in parts for one in (part.responses, part.clips)]
        files = {self._locate(one)[0] for one in references if one is not None}
        if self.description is not None:
            files.add(self.description)
        for file in sorted(files):
            if not file.is_file():
                raise StudyError("an array file does not exist", expected="a file", where=file)
        return sorted(files)

    @functools.cached_property
    def _stimuli(self) -> dict[str, np.ndarray]:
        """The stimuli of each split, (clip, ...)."""
        named = {"train": self.options.stimuli.train, "test": self.options.stimuli.test}
        return {split: self._array(one) for split, one in named.items() if one is not None}

    def clips(self) -> tuple[Clip, ...]:
        """Return the training clips, then the test clips, named by split and number."""
        clips = []
        for split, stimuli in self._stimuli.items():
            attributes = self._attributes(split, len(stimuli))
            for number, labels in enumerate(attributes):
                name = clip_id(split, number)
                clips.append(
                    Clip(
                        id=name,
                        split=split,
                        group=name,
                        duration=self.options.clip_duration,
                        captions=self._captions(labels),
                        attributes=labels,
                    )
                )
        check_groups(clips)
        return tuple(clips)

    def _captions(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        text = self.options.caption
        if text is None:
            return ()
        wanted = {name for _, name, _, _ in string.Formatter().parse(text) if name}
        if not wanted <= set(labels):
            raise ConfigError(
                "the caption names a label that the study lacks",
                expected=", ".join(labels) or "no label",
                found=", ".join(sorted(wanted - set(labels))),
                where="the reader's option caption",
            )
        return (text.format(**labels),)

    def _attributes(self, split: str, count: int) -> list[dict[str, str]]:
        """Return the labels of each clip of a split."""
        attributes: list[dict[str, str]] = [{} for _ in range(count)]
        for name, arrays in self.options.labels.items():
            reference = arrays.train if split == "train" else arrays.test
            if reference is None:
                continue
            values = np.asarray(self._array(reference)).ravel()
            if len(values) != count:
                raise StudyError(
                    f"the label {name} does not fit the {split} clips",
                    expected=f"{count} values",
                    found=len(values),
                    where=f"{self.root}, {reference}",
                )
            names = {str(key): text for key, text in self.options.label_names.get(name, {}).items()}
            for labels, value in zip(attributes, values, strict=True):
                labels[name] = names.get(f"{value:g}", f"{value:g}")
        return attributes

    def runs(self, subject: str) -> tuple[Run, ...]:
        """Return a run for each set of clips and repeat; its rows are trials."""
        return tuple(run for run, _ in self._trials(subject).values())

    def _trials(self, subject: str) -> dict[str, tuple[Run, np.ndarray]]:
        """Return each run with the rows of the responses (trial, voxel) that it stands for."""
        if subject not in self._runs:
            arrays = self._subject(subject)
            found: list[tuple[Run, np.ndarray]] = []
            for split, part in zip(SPLITS, (arrays.train, arrays.test), strict=True):
                if part is not None:
                    found += self._split_runs(subject, split, part)
            self._runs[subject] = {run.id: (run, rows) for run, rows in found}
        return self._runs[subject]

    def _split_runs(
        self, subject: str, split: str, part: TrialArrays
    ) -> list[tuple[Run, np.ndarray]]:
        shown = self._shown(split, part)
        size = self.options.clips_per_group if split == "train" else None
        sets = shown // size if size else np.zeros_like(shown)
        repeats = _occurrences(shown)
        path = self._locate(part.responses)[0]
        runs = []
        for repeat in range(int(repeats.max()) + 1):
            for number in np.unique(sets[repeats == repeat]):
                rows = np.flatnonzero((repeats == repeat) & (sets == number))
                group = f"{split}_set-{number + 1:02d}"
                events = tuple(
                    Event(float(row), 1.0, clip_id(split, int(clip)))
                    for row, clip in enumerate(shown[rows])
                )
                run = Run(
                    id=f"{group}_repeat-{repeat + 1:02d}",
                    subject=subject,
                    split=split,
                    group=group,
                    repeat=repeat,
                    paths=(path,),
                    repetition_time=1.0,
                    n_volumes=len(rows),
                    events=events,
                    trialwise=True,
                )
                runs.append((run, rows))
        return runs

    def _shown(self, split: str, part: TrialArrays) -> np.ndarray:
        """Return the number of the clip of each trial, int64 (trial,), checked."""
        responses = self._response_array(part.responses)
        where = f"{self.root}, {part.responses}"
        if responses.ndim not in (2, 3):
            raise StudyError(
                "responses of an unknown form",
                expected="(trial, voxel) or (clip, repeat, voxel)",
                found=responses.shape,
                where=where,
            )
        count = len(self._stimuli.get(split, ()))
        if responses.ndim == 3:
            shown = np.repeat(np.arange(responses.shape[0]), responses.shape[1])
        elif part.clips is None:
            shown = np.arange(responses.shape[0])
        else:
            shown = np.asarray(self._array(part.clips)).ravel().astype(np.int64)
            shown = shown - self.options.first_index
        trials = int(np.prod(responses.shape[:-1]))
        if len(shown) != trials or trials == 0:
            raise StudyError(
                "responses and their clips differ in number",
                expected=f"{trials} clips, one a trial",
                found=len(shown),
                where=where,
            )
        if shown.min() < 0 or shown.max() >= count:
            raise StudyError(
                f"a {split} response belongs to no {split} stimulus",
                expected=f"clips 0 to {count - 1} (after first_index is subtracted)",
                found=f"{shown.min()} to {shown.max()}",
                where=where,
                remedy="check the reader's options stimuli, clips and first_index",
            )
        return shown

    def _response_array(self, reference: str) -> np.ndarray:
        """Return responses; only the array that was asked for last is kept."""
        if self._responses is None or self._responses[0] != reference:
            self._responses = (reference, self._array(reference))
        return self._responses[1]

    def voxels(self, subject: str) -> VoxelSpace:
        """Return the columns of the responses; where they lie is unknown."""
        arrays = self._subject(subject)
        counts = {
            part.responses: self._response_array(part.responses).shape[-1]
            for part in (arrays.train, arrays.test)
            if part is not None
        }
        if len(set(counts.values())) != 1:
            raise StudyError(
                "training and test responses differ in voxels",
                expected="one number of voxels a subject",
                found=counts,
                where=self.root,
            )
        count = next(iter(counts.values()))
        return VoxelSpace(np.arange(count, dtype=np.int32)[:, None], (count,))

    def load(self, run: Run) -> np.ndarray:
        """Return a run's responses, float32 (trial, voxel)."""
        arrays = self._subject(run.subject)
        part = arrays.train if run.split == "train" else arrays.test
        runs = self._trials(run.subject)
        if part is None or run.id not in runs:
            raise StudyError("no such run", expected=", ".join(runs), found=run.id, where=self.root)
        rows = runs[run.id][1]
        responses = self._response_array(part.responses)
        flat = responses.reshape(-1, responses.shape[-1])  # (clip, repeat, v) -> (trial, v)
        return np.asarray(flat[rows], dtype=np.float32)

    def frames(self, clip: Clip) -> np.ndarray:
        """Return a clip's frames, uint8 (frame, height, width, 3); grey is repeated."""
        values = np.asarray(self._stimuli[clip.split][int(clip.id.rpartition("-")[2]) - 1])
        return picture_frames(values, self.options.picture, f"{self.root}, clip {clip.id}")


def clip_id(split: str, number: int) -> str:
    """Return the name of a split's clip by its number from 0: "train-0001"."""
    return f"{split}-{number + 1:04d}"


def _occurrences(shown: np.ndarray) -> np.ndarray:
    """Return how often each trial's clip was shown before, int64 (trial,)."""
    counts: dict[int, int] = {}
    repeats = np.zeros(len(shown), dtype=np.int64)
    for trial, clip in enumerate(shown.tolist()):
        repeats[trial] = counts.get(clip, 0)
        counts[clip] = repeats[trial] + 1
    return repeats
