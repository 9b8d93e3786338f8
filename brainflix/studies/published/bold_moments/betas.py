"""Betas of BOLD Moments: GLMsingle's, on surfaces or cut out by region, as pickles of numpy arrays.

The pickles are interpreted, never run, and their arrays mapped, so the 5 GB of a subject cost the
memory of one set of clips.
"""

from __future__ import annotations

import functools
import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from brainflix.errors import StudyError
from brainflix.formats import images
from brainflix.formats.pickle import read_pickle
from brainflix.formats.surfaces import STRUCTURES, joined_vertices
from brainflix.formats.trial_rows import JoinedRows
from brainflix.formats.voxel_space import VoxelSpace
from brainflix.studies.bids.stimuli import StimulusTable
from brainflix.studies.estimates.study import (
    GLMSINGLE,
    BetaStudy,
    BetaTable,
    consecutive_sets,
    join_parts,
    repeated_trials,
)
from brainflix.studies.options import FormOptions
from brainflix.studies.published.bold_moments.stimuli import (
    ANNOTATIONS,
    STIMULI,
    read_annotations,
)
from brainflix.studies.published.pickled_pairs import read_pair
from brainflix.studies.published.stimulus_files import stimulus_clips
from brainflix.studies.study import SPLITS, Clip

_NUMBER = re.compile(r"(\d{4})(\.mp4)?$")


class BmdBetaOptions(FormOptions):
    """Where the parts of the study lie, relative to its root."""

    stimuli: str = Field(default=STIMULI, description="folder of train/ and test/")
    annotations: str = ANNOTATIONS
    clips_per_set: int = Field(
        default=50,
        ge=4,
        description="training clips in a set, each an observation of the reproducibility t-test",
    )
    template: str | None = Field(
        default=None,
        description="for the form fsLR32k: a CIFTI file of the same grayordinates, such as a "
        "series of fMRIPrep, which gives structure and vertex of each",
    )
    pattern: str = Field(
        default="{subject}/prepared_allvoxel_pkl/{region}_betas-GLMsingle_type-typed_z=1.pkl",
        description="for the form regions: its files; {subject} and {region} are replaced",
    )
    regions: tuple[str, ...] = Field(
        default=("Group41",), min_length=1, description="for the form regions: which are joined"
    )


class BmdBetas(BetaStudy):
    """What the forms of betas share; a subclass knows the files and the arrays in them."""

    Options = BmdBetaOptions
    options: BmdBetaOptions

    @abstractmethod
    def beta_files(self, subject: str) -> list[Path]:
        """Return the files of a subject's betas, which need not exist."""

    @abstractmethod
    def read_split(self, subject: str, split: str) -> tuple[tuple[np.ndarray, ...], Sequence[Any]]:
        """Return the parts of a split's betas and the name of each row's stimulus."""

    @functools.cached_property
    def stimuli(self) -> StimulusTable:
        """The clips that the annotations list."""
        return read_annotations(self.root / self.options.annotations)

    def clips(self) -> tuple[Clip, ...]:
        """Return the clips in the order of their numbers."""
        return stimulus_clips(self.stimuli, self.root / self.options.stimuli)

    def subjects(self) -> tuple[str, ...]:
        """Return the subjects whose first file of betas exists."""
        if not self.root.is_dir():
            raise StudyError(
                "the study does not exist",
                expected="the folder of ds005165",
                found="a file" if self.root.exists() else "nothing",
                where=self.root,
                remedy="correct the study's root, or download it first",
            )
        labels = [f"sub-{number:02d}" for number in range(1, 100)]
        return tuple(label for label in labels if self.beta_files(label)[0].is_file())

    def files(self, subject: str | None = None) -> list[Path]:
        """Return the betas of a subject, or annotations and clips."""
        known = self.subjects()
        if subject is None:
            folder = self.root / self.options.stimuli
            clips = [folder / name for name in sorted(self.stimuli.by_file)]
            return [self.root / self.options.annotations, *clips]
        files = self.beta_files(subject)
        if subject not in known:
            raise StudyError(
                "the subject is not in the study",
                expected=", ".join(known) or f"files such as {files[0]}",
                found=subject,
                where=self.root,
            )
        for path in files:
            if not path.is_file():
                raise StudyError(
                    "a file of betas is missing",
                    expected=path,
                    found="nothing",
                    where=path.parent,
                    remedy="download it from OpenNeuro, ds005165",
                )
        return files

    def read_tables(self, subject: str) -> list[BetaTable]:
        """Return sets of training clips, and the test clips."""
        path = self.files(subject)[0]
        tables = []
        for split in SPLITS:
            parts, names = self.read_split(subject, split)
            clips = [self._clip_of(name, split, path) for name in names]
            betas = join_parts(parts, path)
            if len(clips) != betas.lead[0]:
                raise StudyError(
                    "betas and stimulus names differ in number",
                    expected=f"{len(clips)} rows",
                    found=betas.lead[0],
                    where=path,
                )
            recorded = betas.recorded()
            size = self.options.clips_per_set if split == "train" else len(clips)
            sets = consecutive_sets(len(clips), max(size, 1))
            for number, places in enumerate(sets, start=1):
                label = f"{split}_set-{number:02d}" if len(sets) > 1 else split
                chosen = [clips[place] for place in places]
                tables += repeated_trials(label, split, chosen, places, betas, recorded, path)
        return tables

    def _clip_of(self, name: Any, split: str, path: Path) -> str:
        match = _NUMBER.search(str(name))
        clip = match[1] if match else ""
        stimulus = self.stimuli.by_clip.get(clip)
        if stimulus is None or stimulus.split != split:
            raise StudyError(
                f"a {split} response belongs to no {split} clip of the annotations",
                expected="a name such as vid0001",
                found=str(name)[:80],
                where=path,
            )
        return clip

    def _part_sizes(self, subject: str) -> list[int]:
        """Return the voxels of each part of the betas, such as those of each hemisphere."""
        betas = self.tables(subject)[0].betas
        return [part.n_voxels for part in betas.parts] if isinstance(betas, JoinedRows) else []

    def split_clips(self, split: str) -> list[str]:
        """Return the numbers of a split's clips, in order."""
        return [name for name, one in self.stimuli.by_clip.items() if one.split == split]

    def notices(self, subject: str) -> tuple[str, ...]:
        """Return that GLMsingle has seen test trials."""
        return (GLMSINGLE,)


class BmdFsaverage(BmdBetas):
    """Betas on fsaverage, two files per split, one for each hemisphere."""

    SIDES: ClassVar = ("left", "right")

    def beta_files(self, subject: str) -> list[Path]:
        """Return the four files of a subject."""
        return [self._file(subject, split, side) for split in SPLITS for side in self.SIDES]

    def _file(self, subject: str, split: str, side: str) -> Path:
        folder = self.root / "derivatives/versionB/fsaverage/GLM" / subject / "prepared_betas"
        return folder / f"{subject}_organized_betas_task-{split}_hemi-{side}_normalized.pkl"

    def read_split(self, subject: str, split: str) -> tuple[tuple[np.ndarray, ...], Sequence[Any]]:
        """Return both hemispheres' betas; their stimuli must be the same."""
        pairs = [read_pair(self._file(subject, split, side)) for side in self.SIDES]
        if [str(name) for name in pairs[0][1]] != [str(name) for name in pairs[1][1]]:
            raise StudyError(
                "the hemispheres' betas belong to different stimuli",
                expected="one order of stimuli",
                where=self._file(subject, split, "right"),
            )
        return tuple(betas for betas, _ in pairs), pairs[0][1]

    def voxels(self, subject: str) -> VoxelSpace:
        """Return the vertices, those of the left hemisphere first."""
        counts = self._part_sizes(subject)
        return joined_vertices(counts, list(STRUCTURES.values()), "fsaverage")


class BmdFsLR(BmdBetas):
    """Betas of the 91,282 grayordinates of fsLR, one file per split."""

    def beta_files(self, subject: str) -> list[Path]:
        """Return the two files of a subject."""
        return [self._file(subject, split) for split in SPLITS]

    def _file(self, subject: str, split: str) -> Path:
        folder = self.root / "derivatives/versionB/fsLR32k/GLM" / subject / "prepared_betas"
        return folder / f"{subject}_organized_betas_task-{split}_normalized.pkl"

    def read_split(self, subject: str, split: str) -> tuple[tuple[np.ndarray, ...], Sequence[Any]]:
        """Return the betas of a split."""
        betas, names = read_pair(self._file(subject, split))
        return (betas,), names

    def voxels(self, subject: str) -> VoxelSpace:
        """Return the grayordinates; structures and vertices are those of the template."""
        count = self.n_voxels(subject)
        if self.options.template is None:
            position = np.arange(count, dtype=np.int32)[:, None]
            return VoxelSpace(position, (count,), space="fsLR")
        path = self.root / self.options.template
        space = images.read_grayordinates(path, "fsLR")
        if len(space) != count:
            raise StudyError(
                "the template has other grayordinates than the betas",
                expected=count,
                found=len(space),
                where=path,
            )
        return space


class BmdRegions(BmdBetas):
    """Betas by region: one dictionary of arrays per region, both splits in it."""

    def beta_files(self, subject: str) -> list[Path]:
        """Return a file for each region."""
        return [
            self.root / self.options.pattern.format(subject=subject, region=region)
            for region in self.options.regions
        ]

    def _tables(self, subject: str) -> list[tuple[Path, Mapping[str, Any]]]:
        tables = []
        for path in self.beta_files(subject):
            content = read_pickle(path)
            if not isinstance(content, Mapping):
                raise StudyError(
                    "the pickle holds no betas",
                    expected="a dictionary with train_data_allvoxel and test_data_allvoxel",
                    found=type(content).__name__,
                    where=path,
                )
            tables.append((path, content))
        return tables

    def read_split(self, subject: str, split: str) -> tuple[tuple[np.ndarray, ...], Sequence[Any]]:
        """Return each region's betas; rows without names are the clips in their order."""
        parts: list[np.ndarray] = []
        names: list[str] | None = None
        for path, table in self._tables(subject):
            betas = table.get(f"{split}_data_allvoxel")
            if not isinstance(betas, np.ndarray):
                raise StudyError(
                    "a region lacks its betas",
                    expected=f"{split}_data_allvoxel",
                    found=", ".join(str(key) for key in table),
                    where=path,
                )
            order = table.get(f"{split}_stim_order")
            if order is not None:
                named = [str(name) for name in order]
                if names not in (None, named):
                    raise StudyError("regions differ in the order of their clips", where=path)
                names = named
            parts.append(betas)
        return tuple(parts), names or self.split_clips(split)

    def voxels(self, subject: str) -> VoxelSpace:
        """Return the grayordinates that the files name, or columns of unknown place."""
        counts = self._part_sizes(subject)
        places = [table.get("roi_indices_hcp") for _, table in self._tables(subject)]
        known = [
            np.asarray(place).ravel()
            for place, count in zip(places, counts, strict=True)
            if place is not None and np.size(place) == count
        ]
        if len(known) != len(counts):
            position = np.arange(sum(counts), dtype=np.int32)
            return VoxelSpace(position[:, None], (sum(counts),))
        position = np.concatenate(known).astype(np.int32)
        total = max(91282, int(position.max()) + 1)
        return VoxelSpace(position[:, None], (total,), space="fsLR")
