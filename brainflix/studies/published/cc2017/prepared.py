"""What the arrays of CC2017 by MinD-Video and by NeuroClips share: clips, frames and captions.

Both projects selected the voxels (with the training runs alone) and shifted the responses by the
haemodynamic delay, so that a row is the response to its clip. Arrays are mapped; a run's or a
clip's values are all that is read.
"""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from brainflix.config.base import Positive
from brainflix.errors import StudyError
from brainflix.formats.voxel_space import VoxelSpace
from brainflix.studies.captions import caption_texts
from brainflix.studies.options import FormOptions
from brainflix.studies.study import SPLITS, Clip, Study, check_groups

SEGMENT = {"train": "seg", "test": "test"}


def segment_clips(split: str, segments: int, length: int) -> list[tuple[str, ...]]:
    """Return the names of each segment's clips, the same as those of the release."""
    return [
        tuple(f"{SEGMENT[split]}{segment}_{clip:04d}" for clip in range(length))
        for segment in range(1, segments + 1)
    ]


class PreparedOptions(FormOptions):
    """What is read of the arrays."""

    clip_duration: Positive = Field(default=2.0, description="duration of a clip in s")
    captions: bool = Field(default=True, description="read the captions where their file exists")
    rows: Literal["trials", "volumes"] = Field(
        default="trials",
        description="for the form mind_video: a row is the response to its clip, or a volume of a "
        "run; the delay is in the rows already, so set preprocessing.response.delay to 0 for "
        "volumes",
    )
    clips_per_segment: int = Field(
        default=240, ge=1, description="clips of a segment in the form neuroclips"
    )


class Prepared(Study):
    """What both kinds of arrays share: clips in segments, frames and captions in files."""

    responses: str  # name of a subject's responses, with {split} and {number}
    prefix: str  # of subject labels

    Options = PreparedOptions
    options: PreparedOptions

    @abstractmethod
    def video_file(self, split: str) -> Path:
        """Return the file of a split's frames."""

    @abstractmethod
    def caption_file(self, split: str) -> Path:
        """Return the file of a split's captions, which need not exist."""

    @abstractmethod
    def read_captions(self, split: str) -> Sequence[tuple[str, ...]]:
        """Return the captions of each clip of a split."""

    @abstractmethod
    def segments(self, split: str) -> list[tuple[str, ...]]:
        """Return the names of each segment's clips."""

    @abstractmethod
    def stored_frames(self, split: str, number: int) -> np.ndarray:
        """Return the frames of a split's clip by its number from 0, (frame, height, width, 3)."""

    def subjects(self) -> tuple[str, ...]:
        """Return the labels of the subjects whose training responses exist."""
        if not self.root.is_dir():
            raise StudyError(
                "the study does not exist",
                expected="a folder of arrays",
                found="a file" if self.root.exists() else "nothing",
                where=self.root,
                remedy="correct the study's root, or download it first",
            )
        numbers = [
            number
            for number in "123456789"
            if (self.root / self.responses.format(split="train", number=number)).is_file()
        ]
        return tuple(f"{self.prefix}{number}" for number in numbers)

    def response_file(self, subject: str, split: str) -> Path:
        """Return the file of a subject's responses."""
        if subject not in self.subjects():
            raise StudyError(
                "the subject is not in the study",
                expected=", ".join(self.subjects())
                or f"files such as {self.responses.format(split='train', number=1)}",
                found=subject,
                where=self.root,
            )
        number = subject.removeprefix(self.prefix)
        path = self.root / self.responses.format(split=split, number=number)
        if not path.is_file():
            raise StudyError(
                "the responses of a split do not exist", expected=path, found="nothing", where=path
            )
        return path

    def files(self, subject: str | None = None) -> list[Path]:
        """Return the arrays of a subject's responses, or of frames and captions."""
        self.subjects()
        if subject is not None:
            return [self.response_file(subject, split) for split in SPLITS]
        files = [self.video_file(split) for split in SPLITS]
        for path in files:
            if not path.is_file():
                raise StudyError("the frames do not exist", expected=path, where=self.root)
        captions = [self.caption_file(split) for split in SPLITS] if self.options.captions else []
        return files + [path for path in captions if path.is_file()]

    @functools.cached_property
    def _places(self) -> dict[str, tuple[str, int]]:
        """The split and number of each clip."""
        return {
            clip: (split, number)
            for split in SPLITS
            for number, clip in enumerate(name for one in self.segments(split) for name in one)
        }

    def clips(self) -> tuple[Clip, ...]:
        """Return the training clips, then the test clips."""
        captions: dict[str, tuple[str, ...]] = {}
        for split in SPLITS:
            if self.options.captions and self.caption_file(split).is_file():
                names = [name for one in self.segments(split) for name in one]
                captions |= self._named(split, names)
        clips = tuple(
            Clip(
                id=name,
                split=split,
                group=name.rpartition("_")[0],
                duration=self.options.clip_duration,
                captions=captions.get(name, ()),
            )
            for name, (split, _) in self._places.items()
        )
        check_groups(clips)
        return clips

    def _named(self, split: str, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
        captions = self.read_captions(split)
        if len(captions) != len(names):
            raise StudyError(
                "captions and clips differ in number",
                expected=len(names),
                found=len(captions),
                where=self.caption_file(split),
                remedy="download the file again, or set the reader's option captions: false",
            )
        return dict(zip(names, captions, strict=True))

    def frames(self, clip: Clip) -> np.ndarray:
        """Return a clip's frames, uint8 (frame, height, width, 3)."""
        split, number = self._places[clip.id]
        where = f"{self.video_file(split)}, clip {clip.id}"
        return as_pixels(self.stored_frames(split, number), where)


def column_space(counts: dict[str, int], where: Path) -> VoxelSpace:
    """Return a space of columns of which nothing else is known, or refuse unequal counts."""
    if len(set(counts.values())) != 1:
        raise StudyError(
            "training and test responses differ in voxels",
            expected="one number of voxels per subject",
            found=counts,
            where=where,
        )
    count = next(iter(counts.values()))
    return VoxelSpace(np.arange(count, dtype=np.int32)[:, None], (count,))


def as_pixels(values: np.ndarray, where: str) -> np.ndarray:
    """Return frames as uint8; floats must lie in 0 to 1.

    Raises
    ------
    StudyError
        When floats leave that range, as normalised frames do.
    """
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values)
    scaled = values.astype(np.float32)
    if not np.isfinite(scaled).all() or scaled.min() < -1e-3 or scaled.max() > 1 + 1e-3:
        raise StudyError(
            "frames leave the range of pixels",
            expected="uint8, or floats from 0 to 1",
            found=f"{values.dtype} from {scaled.min():g} to {scaled.max():g}",
            where=where,
        )
    return np.rint(scaled.clip(0, 1) * 255).astype(np.uint8)


def distinct_captions(values: Any, path: Path) -> tuple[str, ...]:
    """Return the different texts of one clip in their order."""
    if isinstance(values, np.ndarray):
        values = values.ravel().tolist()
    captions = caption_texts(list(values) if isinstance(values, tuple) else values, path)
    return tuple(dict.fromkeys(captions))
