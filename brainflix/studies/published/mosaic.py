"""MOSAIC: eight studies of one preprocessing on fsLR-32k, one HDF5 file per subject.

``sub-01_BMD.hdf5`` (or ``sub-01_BMD_crc32-....hdf5``) holds a group ``betas`` with a dataset for
each trial, ``sub-01_BMD_stimulus-0001_phase-train_rep-0``, of 91,282 grayordinates. Merged files
hold such a group for each subject. Stimuli come from the original studies and lie in a folder
``stimuli``.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import Field

from brainflix.config.base import Section
from brainflix.config.studies import StudySource
from brainflix.errors import StudyError
from brainflix.formats import images
from brainflix.formats.hdf5 import dataset, open_hdf5
from brainflix.formats.links import path_within
from brainflix.formats.voxel_space import VoxelSpace
from brainflix.studies.bids.stimuli import condition_name, video_duration
from brainflix.studies.estimates.array_clips import named_captions
from brainflix.studies.estimates.study import BetaStudy, BetaTable, ReadRows, clip_sets
from brainflix.studies.study import Clip, check_groups

_FILE = re.compile(r"^(sub-\d+_[A-Za-z0-9]+?)(?:_crc32-[0-9a-fA-F]+)?\.(?:hdf5|h5)$")
_TRIAL = re.compile(r"^sub-\d+_[^_]+_stimulus-(.+)_phase-(train|test)_rep-(\d+)$")
_STIMULI = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".jpg", ".jpeg", ".png", ".bmp", ".tif")
FSLR_91K = 91282


class MosaicOptions(Section):
    """Options of the reader mosaic."""

    stimuli: str = Field(default="stimuli", description="folder of the stimuli, searched in depth")
    subjects: tuple[str, ...] = Field(
        default=(), description="subjects that share this study's clips; empty for all on disk"
    )
    template: str | None = Field(
        default=None, description="any CIFTI-2 file of 91k grayordinates, which gives their places"
    )
    captions: str | None = Field(
        default=None, description="YAML or JSON file: a stimulus' name to its captions"
    )
    clips_per_group: int | None = Field(default=None, ge=3)


class MosaicStudy(BetaStudy):
    """A folder of MOSAIC's files (or one merged file) and of stimuli."""

    Options = MosaicOptions
    options: MosaicOptions

    def __init__(self, source: StudySource) -> None:
        super().__init__(source)
        self.folder = self.root if self.root.is_dir() else self.root.parent

    @functools.cached_property
    def _files(self) -> dict[str, tuple[Path, str]]:
        """Subject to its file and the group in it."""
        files: dict[str, tuple[Path, str]] = {}
        if self.root.is_file():
            with open_hdf5(self.root) as file:
                files = {
                    name: (self.root, f"{name}/betas") for name in file if "betas" in file[name]
                }
        else:
            for path in sorted(self.root.rglob("*")):
                match = _FILE.match(path.name)
                if match is not None and path.is_file():
                    files.setdefault(match.group(1), (path, "betas"))
        wanted = self.options.subjects or tuple(files)
        lacking = sorted(set(wanted) - set(files))
        if lacking or not files:
            raise StudyError(
                "the study lacks subjects",
                expected=", ".join(lacking) or "files such as sub-01_BMD.hdf5",
                found=", ".join(sorted(files)) or "none",
                where=self.root,
            )
        return {subject: files[subject] for subject in wanted}

    def subjects(self) -> tuple[str, ...]:
        """Return subjects as MOSAIC names them: sub-01_BMD."""
        return tuple(sorted(self._files))

    @functools.cached_property
    def _trials(self) -> dict[str, list[tuple[str, str, int, str]]]:
        """Subject to its trials: stimulus, phase, repeat and name of the dataset."""
        trials: dict[str, list[tuple[str, str, int, str]]] = {}
        for subject, (path, group) in self._files.items():
            with open_hdf5(path) as file:
                names = list(file[group]) if group in file else []
            matches = [(_TRIAL.match(name), name) for name in names]
            trials[subject] = sorted(
                (match.group(1), match.group(2), int(match.group(3)), name)
                for match, name in matches
                if match is not None
            )
            if not trials[subject] or len(trials[subject]) != len(names):
                raise StudyError(
                    "a file of MOSAIC holds trials of unknown names",
                    expected="sub-01_BMD_stimulus-NAME_phase-train_rep-0",
                    found=next((name for match, name in matches if match is None), "no trial"),
                    where=f"{path}, {group}",
                )
        return trials

    @functools.cached_property
    def _test(self) -> frozenset[str]:
        """Stimuli that are test stimuli for any subject, and so for all of them."""
        rows = (row for trials in self._trials.values() for row in trials)
        return frozenset(stimulus for stimulus, phase, _, _ in rows if phase == "test")

    @functools.cached_property
    def _paths(self) -> dict[str, Path]:
        """Each stimulus file by its stem."""
        folder = self.folder / path_within(
            self.options.stimuli, "the stimuli", self.root, "put them into the study's folder"
        )
        files = (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in _STIMULI)
        return {path.stem: path for path in files}

    @property
    def _captions(self) -> Path | None:
        named = self.options.captions
        where = f"the reader's option captions of study {self.root}"
        return (
            None
            if named is None
            else self.folder / path_within(named, "a file", where, "put it into the folder")
        )

    def _stimuli(self) -> list[str]:
        return sorted({row[0] for trials in self._trials.values() for row in trials})

    def files(self, subject: str | None = None) -> list[Path]:
        """Return a subject's file, or the stimuli that were shown."""
        if subject is None:
            shown = [self._paths[name] for name in self._stimuli() if name in self._paths]
            named = [] if self._captions is None else [self._captions]
            return [*shown, *named, *sorted({path for path, _ in self._files.values()})]
        self.known(subject)
        template = [] if self.options.template is None else [self.folder / self.options.template]
        return [self._files[subject][0], *template]

    def clips(self) -> tuple[Clip, ...]:
        """Return a clip for each stimulus that a subject saw."""
        clips = []
        captions = {} if self._captions is None else named_captions(self._captions)
        for name in self._stimuli():
            if name not in self._paths:
                raise StudyError(
                    "a stimulus is missing",
                    expected=f"a picture or video named {name}",
                    found=f"{len(self._paths)} others",
                    where=self.folder / self.options.stimuli,
                    remedy="get the stimuli from the original study, see docs/studies/mosaic.md",
                )
            path = self._paths[name]
            clips.append(
                Clip(
                    id=condition_name(name),
                    split="test" if name in self._test else "train",
                    group=condition_name(name),
                    path=path,
                    duration=video_duration(path),
                    captions=captions.get(name, ()),
                )
            )
        check_groups(clips)
        return tuple(clips)

    def _kept(self, subject: str) -> dict[str, list[tuple[str, str]]]:
        """Return clip and dataset of each trial of a split, in the order of repeats."""
        kept: dict[str, list[tuple[str, str]]] = {"train": [], "test": []}
        for stimulus, phase, _, name in sorted(
            self._trials[subject], key=lambda row: (row[2], row)
        ):
            if phase == "test" or stimulus not in self._test:
                kept[phase].append((condition_name(stimulus), name))
        return kept

    def read_tables(self, subject: str) -> Sequence[BetaTable]:
        """Return the trials of both splits; repeats are numbered as in the names."""
        tables = []
        for split, trials in self._kept(subject).items():
            clips = tuple(clip for clip, _ in trials)
            size = self.options.clips_per_group if split == "train" else None
            sets = clip_sets(split, sorted(set(clips)), size)
            if clips:
                labels = tuple(sets[clip] for clip in clips)
                names = tuple(name for _, name in trials)
                read = functools.partial(self._read, subject, names)
                betas = ReadRows(self._n_grayordinates(subject), read)
                paths = (self._files[subject][0],)
                rows = np.arange(len(clips))
                tables.append(BetaTable(split, clips, rows, labels, paths, betas))
        return tables

    def _read(self, subject: str, names: Sequence[str], rows: np.ndarray) -> np.ndarray:
        """Return the datasets of some trials, float32 (trial, grayordinate)."""
        path, group = self._files[subject]
        betas = np.empty((len(rows), self._n_grayordinates(subject)), dtype=np.float32)
        with open_hdf5(path) as file:
            for place, row in enumerate(rows):
                trial = dataset(file, f"{group}/{names[row]}")
                if trial.shape != betas.shape[1:]:
                    raise StudyError(
                        "a trial has another number of grayordinates",
                        expected=betas.shape[1],
                        found=trial.shape,
                        where=f"{path}, {names[row]}",
                    )
                trial.read_direct(betas, dest_sel=np.s_[place])
        return betas

    def _n_grayordinates(self, subject: str) -> int:
        """Return the length of a subject's first trial."""
        path, group = self._files[subject]
        with open_hdf5(path) as file:
            first = dataset(file, f"{group}/{self._trials[subject][0][3]}")
            if len(first.shape) != 1 or first.dtype.kind not in "fiu":
                raise StudyError(
                    "a trial is not a vector of numbers",
                    found=(first.shape, first.dtype),
                    where=path,
                )
            return int(first.shape[0])

    def voxels(self, subject: str) -> VoxelSpace:
        """Return the grayordinates; structure and vertex with the option template."""
        count = self.n_voxels(subject)
        space = "fsLR" if count == FSLR_91K else ""
        if self.options.template is None:
            position = np.arange(count, dtype=np.int32)[:, None]
            return VoxelSpace(position, (count,), space=space)
        template = images.read_grayordinates(self.folder / self.options.template, "fsLR")
        if len(template) != count:
            raise StudyError(
                "the template has another number of grayordinates",
                expected=count,
                found=len(template),
                where=self.folder / self.options.template,
            )
        return template

    def notices(self, subject: str) -> tuple[str, ...]:
        """Return what MOSAIC's betas and splits imply."""
        notices = [
            "the betas are those of GLMsingle, which chose its noise regressors and ridge penalty "
            "on repeated stimuli, test stimuli among them"
        ]
        trials = self._trials[subject]
        dropped = sum(phase == "train" and name in self._test for name, phase, _, _ in trials)
        if dropped:
            notices.append(
                f"{dropped} training trials are left out: their stimuli are test stimuli of "
                "another subject of this study"
            )
        return tuple(notices)
