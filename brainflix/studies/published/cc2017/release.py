"""CC2017 as Purdue University releases it: one folder per segment, CIFTI and MNI files in each."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from brainflix.config.base import Positive
from brainflix.config.studies import StudySource
from brainflix.errors import StudyError
from brainflix.formats import images
from brainflix.formats.surfaces import STRUCTURES
from brainflix.formats.voxel_space import VoxelSpace
from brainflix.studies.bids.stimuli import Stimulus, cut_movie
from brainflix.studies.captions import read_captions
from brainflix.studies.options import FormOptions
from brainflix.studies.study import Clip, Event, Run, Study, check_groups

REPETITION_TIME = 2.0  # s; the NIfTI headers hold other values
TRAIN = tuple(f"seg{number}" for number in range(1, 19))
TEST = tuple(f"test{number}" for number in range(1, 6))
LEAD_IN = {5: 1, 6: 2}  # surplus volumes: how many of them lie in front of the film; 4 follow it


class ReleaseOptions(FormOptions):
    """What is read of the release."""

    segments: tuple[str, ...] = Field(
        default=(*TRAIN, *TEST), min_length=1, description="seg* train, test* test"
    )
    train_repeats: int = Field(default=2, ge=1)
    test_repeats: int = Field(default=10, ge=1)
    ignore_runs: tuple[str, ...] = Field(
        default=(), description="runs left out, such as subject1/test1_9"
    )
    volumes: int = Field(default=240, ge=2, description="volumes that the film of a segment lasts")
    trim: bool = Field(
        default=True,
        description="drop the volumes before and after the film, as published; false keeps them, "
        "so that the responses to a segment's last clips are whole",
    )
    clip_duration: Positive = Field(default=2.0, description="duration of a clip in s")
    voxels: Literal["cortex", "all"] = Field(
        default="cortex", description="for the form cifti: the first 59,412 grayordinates, or all"
    )
    mask: str | None = Field(
        default=None,
        description="for the form mni: a mask relative to the root; by default, what is not 0",
    )
    captions: str | None = Field(
        default=None, description="JSON of clip to captions, relative to the root"
    )


class Cc2017Release(Study):
    """The release; a subclass knows where a run's file lies, and its voxels.

    A segment's film is cut into clips, ``seg1_0000`` and so on. Its runs have 245 volumes, of which
    the first and the last four are not of the film, or 246, of which the first two are not.
    """

    Options = ReleaseOptions
    options: ReleaseOptions

    def __init__(self, source: StudySource) -> None:
        super().__init__(source)
        for segment in self.options.segments:
            split_of(segment)
        inner = self.root / "video_fmri_dataset"
        self.folder = inner if inner.is_dir() else self.root
        self._runs: dict[str, tuple[Run, ...]] = {}
        self._first: dict[tuple[str, str], int] = {}
        self._voxels: dict[str, VoxelSpace] = {}

    @abstractmethod
    def run_file(self, subject: str, segment: str, repeat: int) -> Path:
        """Return the file of a run, counted from 1, which need not exist."""

    @abstractmethod
    def read_space(self, subject: str) -> VoxelSpace:
        """Return where a subject's voxels lie."""

    def subjects(self) -> tuple[str, ...]:
        """Return the folders subject1, subject2 and so on that hold fmri."""
        if not self.folder.is_dir():
            raise StudyError(
                "the study does not exist",
                expected="the folder video_fmri_dataset, or the one that it lies in",
                found="a file" if self.folder.exists() else "nothing",
                where=self.folder,
                remedy="correct the study's root, or download it first",
            )
        return tuple(sorted(path.parent.name for path in self.folder.glob("subject*/fmri")))

    def _promised(self, subject: str) -> Iterator[tuple[str, int, Path]]:
        """Yield segment, repeat (from 1) and file of each run, or refuse a missing one."""
        if subject not in self.subjects():
            raise StudyError(
                "the subject is not in the study",
                expected=", ".join(self.subjects()) or "folders such as subject1/fmri",
                found=subject,
                where=self.folder,
            )
        for segment in self.options.segments:
            test = split_of(segment) == "test"
            count = self.options.test_repeats if test else self.options.train_repeats
            for repeat in range(1, count + 1):
                if f"{subject}/{segment}_{repeat}" in self.options.ignore_runs:
                    continue
                path = self.run_file(subject, segment, repeat)
                if not path.is_file():
                    raise _missing(subject, f"{segment}_{repeat}", path)
                yield segment, repeat, path

    def files(self, subject: str | None = None) -> list[Path]:
        """Return the files of a subject's runs, or the films."""
        if subject is not None:
            masks = [] if self.options.mask is None else [self.root / self.options.mask]
            return [*(path for *_, path in self._promised(subject)), *masks]
        self.subjects()
        files = [self.film(segment) for segment in self.options.segments]
        for path in files:
            if not path.is_file():
                raise StudyError(
                    "the film of a segment does not exist",
                    expected=path,
                    found="nothing",
                    where=self.folder / "stimuli",
                    remedy="unpack the bundle of the stimuli next to the subjects, or list the "
                    "segments that you have by the reader's option segments",
                )
        return files + ([] if self.options.captions is None else [self._caption_file])

    @property
    def _caption_file(self) -> Path:
        return self.root / (self.options.captions or "")

    def film(self, segment: str) -> Path:
        """Return the film of a segment."""
        return self.folder / "stimuli" / f"{segment}.mp4"

    @functools.cached_property
    def _stimuli(self) -> dict[str, list[Stimulus]]:
        """The clips of each segment."""
        length = self.options.volumes * REPETITION_TIME
        return {
            segment: cut_movie(
                f"{segment}.mp4", length, self.options.clip_duration, split_of(segment)
            )
            for segment in self.options.segments
        }

    def clips(self) -> tuple[Clip, ...]:
        """Return the clips of all segments in the order of the films."""
        captions = read_captions(self._caption_file) if self.options.captions else {}
        clips = tuple(
            Clip(
                id=part.clip,
                split=split_of(segment),
                group=segment,
                path=self.film(segment),
                onset=part.onset,
                duration=self.options.clip_duration,
                captions=captions.get(part.clip, ()),
            )
            for segment, parts in self._stimuli.items()
            for part in parts
        )
        check_groups(clips)
        return clips

    def runs(self, subject: str) -> tuple[Run, ...]:
        """Return a subject's runs; headers are read, so that a short run is found here."""
        if subject not in self._runs:
            seen: dict[str, int] = {}
            runs = []
            for segment, repeat, path in self._promised(subject):
                runs.append(self._run(subject, segment, repeat, path, seen.get(segment, 0)))
                seen[segment] = seen.get(segment, 0) + 1
            self._runs[subject] = tuple(runs)
        return self._runs[subject]

    def _run(self, subject: str, segment: str, number: int, path: Path, repeat: int) -> Run:
        on_disk = images.read_header(path).n_volumes
        surplus = on_disk - self.options.volumes
        if surplus not in LEAD_IN:
            raise StudyError(
                "a run has an unexpected number of volumes",
                expected=" or ".join(str(self.options.volumes + extra) for extra in LEAD_IN),
                found=on_disk,
                where=path,
                remedy=f"download the file again, or leave it out by the reader's option "
                f"ignore_runs: [{subject}/{segment}_{number}]",
            )
        self._first[subject, f"{segment}_{number}"] = LEAD_IN[surplus]
        start = 0.0 if self.options.trim else LEAD_IN[surplus] * REPETITION_TIME
        return Run(
            id=f"{segment}_{number}",
            subject=subject,
            split=split_of(segment),
            group=segment,
            repeat=repeat,
            paths=(path,),
            repetition_time=REPETITION_TIME,
            n_volumes=self.options.volumes if self.options.trim else on_disk,
            events=tuple(
                Event(start + part.onset, self.options.clip_duration, part.clip)
                for part in self._stimuli[segment]
            ),
        )

    def voxels(self, subject: str) -> VoxelSpace:
        """Return where the columns of :meth:`load` lie."""
        if subject not in self._voxels:
            self._voxels[subject] = self.read_space(subject)
        return self._voxels[subject]

    def load(self, run: Run) -> np.ndarray:
        """Return a run's responses, float32 (volume, voxel), without surplus volumes."""
        rows = images.read_rows(run.paths[0], self.voxels(run.subject))
        if not self.options.trim:
            return rows
        first = self._first[run.subject, run.id]
        return rows[first : first + self.options.volumes]


class Cc2017Cifti(Cc2017Release):
    """The release's grayordinates, 91,282 in fsLR space, or the 59,412 of the cortex."""

    def run_file(self, subject: str, segment: str, repeat: int) -> Path:
        """Return ``subject1/fmri/seg1/cifti/seg1_1_Atlas.dtseries.nii``."""
        folder = self.folder / subject / "fmri" / segment / "cifti"
        return folder / f"{segment}_{repeat}_Atlas.dtseries.nii"

    def read_space(self, subject: str) -> VoxelSpace:
        """Return the grayordinates, or those that the file calls cortex."""
        path = self.runs(subject)[0].paths[0]
        space = images.read_grayordinates(path, "fsLR")
        return cortex_space(space, path) if self.options.voxels == "cortex" else space


class Cc2017Mni(Cc2017Release):
    """The release's volumes in MNI space."""

    def run_file(self, subject: str, segment: str, repeat: int) -> Path:
        """Return ``subject1/fmri/seg1/mni/seg1_1_mni.nii.gz``; one is named ``test1_9.mni``."""
        folder = self.folder / subject / "fmri" / segment / "mni"
        regular = folder / f"{segment}_{repeat}_mni.nii.gz"
        irregular = folder / f"{segment}_{repeat}.mni.nii.gz"
        return irregular if irregular.is_file() and not regular.is_file() else regular

    def read_space(self, subject: str) -> VoxelSpace:
        """Return the voxels of the mask, or those not 0 at the start of each training run."""
        runs = self.runs(subject)
        header = images.read_header(runs[0].paths[0])
        if self.options.mask is not None:
            path = self.root / self.options.mask
            mask, affine = images.read_mask(path)
            images.check_grid(path, mask.shape, affine, header, runs[0].paths[0])
        else:
            training = [run for run in runs if run.split == "train"] or list(runs)
            mask = np.ones(header.shape, dtype=bool)
            for run in training:
                mask &= _first_volume(run.paths[0], header)
        position = np.argwhere(mask).astype(np.int32)
        return VoxelSpace(position, header.shape, header.affine, "MNI152")


def _first_volume(path: Path, header: images.SeriesHeader) -> np.ndarray:
    """Return where a run's first volume is a number other than 0, bool (i, j, k)."""
    own = images.read_header(path)
    images.check_grid(path, own.shape, own.affine, header, path)
    image = images.open_image(path)
    with images.readable(path):
        values = np.asanyarray(image.dataobj[..., 0])
    return np.isfinite(values) & (values != 0)


def cortex_space(space: VoxelSpace, path: Path) -> VoxelSpace:
    """Return the grayordinates of the cortex; all others of a CIFTI file lie behind them."""
    structure = np.asarray(space.structure, dtype=str)
    kept = np.isin(structure, list(STRUCTURES.values()))
    if not kept.any():
        raise StudyError(
            "the file has no grayordinates of the cortex",
            expected="brain models CORTEX_LEFT and CORTEX_RIGHT",
            found=", ".join(sorted(set(structure.tolist()))),
            where=path,
            remedy="set the reader's option voxels: all",
        )
    return replace(
        space,
        position=space.position[kept],
        structure=structure[kept],
        vertex=None if space.vertex is None else space.vertex[kept],
    )


def split_of(segment: str) -> str:
    """Return the split of a segment by its name."""
    if segment.startswith("seg") and segment[3:].isdigit():
        return "train"
    if segment.startswith("test") and segment[4:].isdigit():
        return "test"
    raise StudyError(
        "unknown segment", expected="seg1 to seg18, test1 to test5", found=segment, where="segments"
    )


def _missing(subject: str, run: str, path: Path) -> StudyError:
    return StudyError(
        "a run is missing",
        expected=path,
        found="nothing",
        where=path.parent,
        remedy=f"unpack the bundle of {subject} again, leave the run out by the reader's option "
        f"ignore_runs: [{subject}/{run}], or list what you have by segments, train_repeats and "
        "test_repeats",
    )
