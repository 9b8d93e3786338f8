"""Studies that come as arrays: responses per trial, and pictures, frames or files for each clip."""

from __future__ import annotations

import functools
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from brainflix.config.base import Positive, Section
from brainflix.config.loading import read_yaml
from brainflix.config.studies import StudySource
from brainflix.errors import ConfigError, StudyError
from brainflix.formats.arrays import ArrayRows, open_rows, read_array
from brainflix.formats.links import path_within
from brainflix.formats.trial_rows import Axis, TrialRows
from brainflix.formats.voxel_space import VoxelSpace
from brainflix.studies.bids.stimuli import video_duration
from brainflix.studies.estimates.array_clips import file_names, is_listing, listed_files, read_texts
from brainflix.studies.estimates.pictures import PictureOptions, picture_frames
from brainflix.studies.estimates.study import BetaStudy, BetaTable, clip_sets
from brainflix.studies.study import SPLITS, Clip, check_groups

_DEFAULT_AXES: dict[int, tuple[Axis, ...]] = {2: ("trial", "voxel"), 3: ("clip", "repeat", "voxel")}


class TrialArrays(Section):
    """Responses of one split of a subject."""

    responses: str = Field(description="array (trial, voxel) or (clip, repeat, voxel)")
    axes: tuple[Axis, ...] | None = Field(
        default=None, description="what the axes of responses are, where it is something else"
    )
    clips: str | None = Field(
        default=None, description="array (trial): which clip; by default trial i shows clip i"
    )


class SubjectArrays(Section):
    """Responses of a subject, and where its voxels lie."""

    train: TrialArrays
    test: TrialArrays | None = None
    position: str | None = Field(
        default=None, description="array (voxel, 3): indices i, j, k; or (voxel): vertex or column"
    )
    shape: tuple[int, ...] | None = Field(
        default=None, description="shape of the grid that position counts in"
    )
    affine: str | None = Field(default=None, description="array (4, 4) from i, j, k to mm")
    space: str = Field(default="", description="name of the space, such as MNI152NLin2009cAsym")


class SplitArrays(Section):
    """An array for the training clips and one for the test clips."""

    train: str
    test: str | None = None


class ArraysOptions(Section):
    """Which array is what.

    An array is named FILE:NAME, FILE relative to the study's root; where the root is itself a file,
    by its NAME; a file of one array by FILE.
    """

    subjects: dict[str, SubjectArrays] = Field(min_length=1)
    stimuli: SplitArrays = Field(
        description="(clip, pixel), (clip, height, width[, 3]) or (clip, frame, height, width, 3); "
        "or a folder of pictures or videos, such as train/, or a list of such files, train.txt"
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
    captions: SplitArrays | None = Field(
        default=None,
        description="files of captions: .txt, one line per clip; .json, .npy, .pkl, .pt, a list",
    )
    groups: SplitArrays | None = Field(
        default=None, description="array (clip): clips of one number are never split apart"
    )
    first_index: Literal[0, 1] = Field(default=0, description="what clips arrays count from")
    clips_per_group: int | None = Field(
        default=None, ge=3, description="split training clips into sets for the reproducibility"
    )
    clip_duration: Positive = Field(default=1.0, description="s that a clip is shown")


class ArrayStudy(BetaStudy):
    """A study whose responses have been estimated per trial (betas), described by its options.

    ``root`` is the folder or the one file of the arrays, or a YAML file that holds the options
    and lies in the folder of the arrays.
    """

    Options = ArraysOptions
    options: ArraysOptions

    def __init__(self, source: StudySource) -> None:
        super().__init__(source)
        self.description: Path | None = None
        if _is_description(self.root):
            self.description, self.root = self.root, self.root.parent
        self._rows: dict[str, TrialRows] = {}

    @classmethod
    def given_options(cls, source: StudySource) -> Mapping[str, Any]:
        """Return the options of the configuration, or those of the YAML file that is the root."""
        root = Path(source.root)
        if not _is_description(root):
            return source.options
        if source.options:
            raise ConfigError(
                "the study is described twice",
                expected="options in the configuration, or a YAML file as root",
                found=f"both: options {', '.join(source.options)}",
                where=root,
            )
        return read_yaml(root)

    def subjects(self) -> tuple[str, ...]:
        """Return the subjects that the options describe."""
        return tuple(sorted(self.options.subjects))

    def _subject(self, subject: str) -> SubjectArrays:
        self.known(subject)
        return self.options.subjects[subject]

    def _parts(self, subject: str) -> list[tuple[str, TrialArrays]]:
        """Return split and arrays of what a subject has."""
        arrays = self._subject(subject)
        pairs = zip(SPLITS, (arrays.train, arrays.test), strict=True)
        return [(split, part) for split, part in pairs if part is not None]

    def _locate(self, reference: str) -> tuple[Path, str | None]:
        """Return the file and name of an array."""
        if self.root.is_file():
            return self.root, reference
        file, _, key = reference.partition(":")
        where = f"options of study {self.root}"
        path = path_within(file, "an array file", where, "put the file into the study's folder")
        return self.root / path, key or None

    def _array(self, reference: str) -> np.ndarray:
        return read_array(*self._locate(reference))

    def _folder(self) -> Path:
        return self.root.parent if self.root.is_file() else self.root

    def files(self, subject: str | None = None) -> list[Path]:
        """Return the files of a subject's responses, or of the stimuli and what is said of them."""
        files: set[Path] = set()
        references: list[str | None] = []
        if subject is None:
            named = [*self.options.labels.values(), self.options.groups, self.options.captions]
            references = [one for part in named if part for one in (part.train, part.test)]
            for one in (self.options.stimuli.train, self.options.stimuli.test):
                if one is not None and is_listing(one):
                    files.update(listed_files(self._folder(), one))
                    files.update([self._folder() / one] if one.endswith(".txt") else [])
                else:
                    references.append(one)
        else:
            arrays = self._subject(subject)
            references = [arrays.position, arrays.affine]
            for _, part in self._parts(subject):
                references += [part.responses, part.clips]
        files |= {self._locate(one)[0] for one in references if one is not None}
        if self.description is not None:
            files.add(self.description)
        for file in sorted(files):
            if not file.is_file():
                raise StudyError("an array file does not exist", expected="a file", where=file)
        return sorted(files)

    @functools.cached_property
    def _stimuli(self) -> dict[str, ArrayRows | list[Path]]:
        """The stimuli of each split: arrays (clip, ...), or one file per clip."""
        named = {"train": self.options.stimuli.train, "test": self.options.stimuli.test}
        return {
            split: listed_files(self._folder(), one)
            if is_listing(one)
            else open_rows(*self._locate(one))
            for split, one in named.items()
            if one is not None
        }

    @functools.cached_property
    def _names(self) -> dict[str, list[str]]:
        """The clips of each split: by their files' names, or by split and number."""
        return {
            split: file_names(stimuli, self.root)
            if isinstance(stimuli, list)
            else [clip_id(split, number) for number in range(stimuli.shape[0])]
            for split, stimuli in self._stimuli.items()
        }

    def clips(self) -> tuple[Clip, ...]:
        """Return the training clips, then the test clips."""
        clips = []
        for split, names in self._names.items():
            stimuli, attributes = self._stimuli[split], self._attributes(split, len(names))
            captions, groups = self._given_captions(split), self._groups(split)
            for number, (name, labels) in enumerate(zip(names, attributes, strict=True)):
                path = stimuli[number] if isinstance(stimuli, list) else None
                given = self.options.clip_duration
                clips.append(
                    Clip(
                        id=name,
                        split=split,
                        group=groups[number] if groups else name,
                        path=path,
                        duration=given if path is None else video_duration(path),
                        captions=captions[number] if captions else self._caption(labels),
                        attributes=labels,
                    )
                )
        check_groups(clips)
        return tuple(clips)

    def _given_captions(self, split: str) -> list[tuple[str, ...]] | None:
        given = self.options.captions
        reference = None if given is None else given.train if split == "train" else given.test
        if reference is None:
            return None
        return read_texts(*_swapped(self._locate(reference), len(self._names[split])))

    def _groups(self, split: str) -> list[str] | None:
        given = self.options.groups
        reference = None if given is None else given.train if split == "train" else given.test
        if reference is None:
            return None
        values = np.asarray(self._array(reference)).ravel()
        self._fit(values, split, "groups do", reference)
        return [f"group-{value:g}" for value in values]

    def _fit(self, values: np.ndarray, split: str, what: str, reference: str) -> None:
        if len(values) != len(self._names[split]):
            raise StudyError(
                f"the {what} not fit the {split} clips",
                expected=f"{len(self._names[split])} values",
                found=len(values),
                where=f"{self.root}, {reference}",
            )

    def _caption(self, labels: Mapping[str, str]) -> tuple[str, ...]:
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
            self._fit(values, split, f"label {name} does", reference)
            names = {str(key): text for key, text in self.options.label_names.get(name, {}).items()}
            for labels, value in zip(attributes, values, strict=True):
                labels[name] = names.get(f"{value:g}", f"{value:g}")
        return attributes

    def _trial_rows(self, part: TrialArrays) -> TrialRows:
        """Return responses; the two arrays that were asked for last are kept."""
        if part.responses not in self._rows:
            rows = open_rows(*self._locate(part.responses))
            axes = part.axes or _DEFAULT_AXES.get(len(rows.shape), _DEFAULT_AXES[2])
            where = f"{self.root}, {part.responses}"
            kept = list(self._rows.items())[-1:]
            self._rows = {**dict(kept), part.responses: TrialRows(rows, axes, where)}
        return self._rows[part.responses]

    def read_tables(self, subject: str) -> Sequence[BetaTable]:
        """Return the trials of each split; repeats that are NaN throughout were not recorded."""
        tables = []
        for split, part in self._parts(subject):
            shown, rows = self._shown(split, part)
            size = self.options.clips_per_group if split == "train" else None
            sets = clip_sets(split, self._names[split], size)
            clips = tuple(self._names[split][clip] for clip in shown)
            labels = tuple(sets[clip] for clip in clips)
            path = self._locate(part.responses)[0]
            betas = self._trial_rows(part)
            tables.append(BetaTable(split, clips, rows, labels, (path,), betas))
        return tables

    def _shown(self, split: str, part: TrialArrays) -> tuple[np.ndarray, np.ndarray]:
        """Return the number of the clip of each trial, and its row, int64 (trial,), checked."""
        responses = self._trial_rows(part)
        count = len(self._names.get(split, ()))
        kept = np.arange(len(responses))
        # (clip, repeat): trials are the recorded repeats, and the clip is the first index
        if len(responses.lead) == 2:
            kept = np.flatnonzero(responses.recorded())
            shown = kept // responses.lead[1]
        elif part.clips is None:
            shown = kept
        else:
            shown = np.asarray(self._array(part.clips)).ravel().astype(np.int64)
            shown = shown - self.options.first_index
        if len(shown) != len(kept) or not len(kept):
            raise StudyError(
                "responses and their clips differ in number",
                expected=f"{len(kept)} clips, one for each trial",
                found=len(shown),
                where=responses.where,
            )
        if shown.min() < 0 or shown.max() >= count:
            raise StudyError(
                f"a {split} response belongs to no {split} stimulus",
                expected=f"clips 0 to {count - 1} (after first_index is subtracted)",
                found=f"{shown.min()} to {shown.max()}",
                where=responses.where,
                remedy="check the reader's options stimuli, clips and first_index",
            )
        return shown, kept

    def voxels(self, subject: str) -> VoxelSpace:
        """Return where the voxels lie: as the options say, or the columns of the responses."""
        arrays, count = self._subject(subject), self.n_voxels(subject)
        if arrays.position is None:
            return VoxelSpace(
                np.arange(count, dtype=np.int32)[:, None], (count,), None, arrays.space
            )
        place = np.asarray(self._array(arrays.position))
        place = place.reshape(-1, 1) if place.ndim == 1 or 1 in place.shape else place
        if len(place) != count or not np.array_equal(place, np.rint(place)):
            raise StudyError(
                "positions do not fit the voxels",
                expected=f"whole numbers, ({count}, 3) or ({count},)",
                found=f"{place.shape} {place.dtype}",
                where=f"{self.root}, {arrays.position}",
            )
        shape = arrays.shape or tuple(int(size) for size in place.max(axis=0) + 1)
        affine = None if arrays.affine is None else np.asarray(self._array(arrays.affine), float)
        if affine is not None and affine.shape != (4, 4):
            raise StudyError(
                "an affine is not a 4 x 4 matrix", found=affine.shape, where=arrays.affine
            )
        return VoxelSpace(place.astype(np.int32), shape, affine, arrays.space)

    def frames(self, clip: Clip) -> np.ndarray | None:
        """Return a clip's frames, uint8 (frame, height, width, 3); grey is repeated."""
        stimuli = self._stimuli[clip.split]
        if isinstance(stimuli, list):
            return None
        values = stimuli.take(np.array([self._place[clip.id]]))[0]
        return picture_frames(values, self.options.picture, f"{self.root}, clip {clip.id}")

    @functools.cached_property
    def _place(self) -> dict[str, int]:
        return {name: number for names in self._names.values() for number, name in enumerate(names)}


def _is_description(root: Path) -> bool:
    return root.suffix in (".yaml", ".yml")


def clip_id(split: str, number: int) -> str:
    """Return the name of a split's clip by its number from 0: "train-0001"."""
    return f"{split}-{number + 1:04d}"


def _swapped(located: tuple[Path, str | None], count: int) -> tuple[Path, int, str | None]:
    return located[0], count, located[1]
