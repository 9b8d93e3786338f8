"""CC2017 as MinD-Video and NeuroClips prepared it: arrays of responses, frames and captions.

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

from brainflix.config import Positive, Section, StudySource, parse
from brainflix.errors import StudyError
from brainflix.studies.array_files import read_array
from brainflix.studies.betas import BetaBlock, BetaStudy
from brainflix.studies.captions import texts
from brainflix.studies.pickles import read_object_npy
from brainflix.studies.study import SPLITS, Clip, Event, Run, Study, VoxelSpace, check_groups
from brainflix.studies.torch_files import open_tensor, open_tensors

SEGMENT = {"train": "seg", "test": "test"}


def segment_clips(split: str, segments: int, length: int) -> list[tuple[str, ...]]:
    """Return the names of each segment's clips, the same as those of the release."""
    return [
        tuple(f"{SEGMENT[split]}{segment}_{clip:04d}" for clip in range(length))
        for segment in range(1, segments + 1)
    ]


class PreparedOptions(Section):
    """What is read of the arrays."""

    clip_duration: Positive = Field(default=2.0, description="s")
    captions: bool = Field(default=True, description="read the captions where their file exists")
    rows: Literal["trials", "volumes"] = Field(
        default="trials",
        description="of MinD-Video: a row is the response to its clip, or a volume of a run; the "
        "delay is in the rows already, so set preprocessing.response.delay to 0 for volumes",
    )
    clips_per_segment: int = Field(default=240, ge=1, description="of NeuroClips")


class _Prepared(Study):
    """What both kinds of arrays share: clips in segments, frames and captions in files."""

    responses: str  # name of a subject's responses, with {split} and {number}
    prefix: str  # of subject labels

    def __init__(self, source: StudySource) -> None:
        super().__init__(source)
        where = f"options of study {source.root}"
        self.options = parse(PreparedOptions, source.options, where=where)

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
                "the study is not there",
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
        found = self.read_captions(split)
        if len(found) != len(names):
            raise StudyError(
                "captions and clips differ in number",
                expected=len(names),
                found=len(found),
                where=self.caption_file(split),
                remedy="download the file again, or set the reader's option captions: false",
            )
        return dict(zip(names, found, strict=True))

    def frames(self, clip: Clip) -> np.ndarray:
        """Return a clip's frames, uint8 (frame, height, width, 3)."""
        split, number = self._places[clip.id]
        where = f"{self.video_file(split)}, clip {clip.id}"
        return as_pixels(self.stored_frames(split, number), where)


class MindVideoArrays(_Prepared):
    """MinD-Video's arrays.

    ``video_{train,test}_256_3hz.npy`` (segment, clip, frame, height, width, 3),
    ``fmri_{train,test}_subject1.npy`` (segment, clip, voxel), ``text_{train,test}_256_3hz.npy``
    (segment, clip, frame). Repeats are not apart, so reproducibility cannot be judged.
    """

    responses = "fmri_{split}_subject{number}.npy"
    prefix = "subject"

    def video_file(self, split: str) -> Path:
        """Return the file of a split's frames."""
        return self.root / f"video_{split}_256_3hz.npy"

    def caption_file(self, split: str) -> Path:
        """Return the file of a split's captions."""
        return self.root / f"text_{split}_256_3hz.npy"

    @functools.cached_property
    def _videos(self) -> dict[str, np.ndarray]:
        videos = {split: read_array(self.video_file(split), None) for split in SPLITS}
        for split, video in videos.items():
            if video.ndim != 6 or video.shape[-1] != 3:
                raise StudyError(
                    "the frames have an unknown shape",
                    expected="(segment, clip, frame, height, width, 3)",
                    found=video.shape,
                    where=self.video_file(split),
                )
        return videos

    def segments(self, split: str) -> list[tuple[str, ...]]:
        """Return the names of each segment's clips."""
        return segment_clips(split, *self._videos[split].shape[:2])

    def stored_frames(self, split: str, number: int) -> np.ndarray:
        """Return the frames of a split's clip."""
        video = self._videos[split]
        return np.asarray(video[divmod(number, video.shape[1])])

    def read_captions(self, split: str) -> list[tuple[str, ...]]:
        """Return the different captions of each clip's frames, in their order."""
        stored = np.asarray(read_object_npy(self.caption_file(split)))
        rows = stored.reshape(-1, *stored.shape[2:]) if stored.ndim > 1 else stored
        return [_different(row, self.caption_file(split)) for row in rows]

    def _responses(self, subject: str, split: str) -> np.ndarray:
        path = self.response_file(subject, split)
        values = read_array(path, None)
        expected = self._videos[split].shape[:2]
        if values.ndim != 3 or values.shape[:2] != expected:
            raise StudyError(
                "the responses have an unknown shape, or belong to other clips",
                expected=f"(segment, clip, voxel), {expected[0]} x {expected[1]} clips",
                found=values.shape,
                where=path,
            )
        return values

    def runs(self, subject: str) -> tuple[Run, ...]:
        """Return a run a segment."""
        trialwise, duration = self.options.rows == "trials", self.options.clip_duration
        runs = []
        for split in SPLITS:
            self._responses(subject, split)
            for clips in self.segments(split):
                segment = clips[0].rpartition("_")[0]
                run = Run(
                    id=segment,
                    subject=subject,
                    split=split,
                    group=segment,
                    repeat=0,
                    paths=(self.response_file(subject, split),),
                    repetition_time=1.0 if trialwise else duration,
                    n_volumes=len(clips),
                    events=tuple(
                        Event(row * (1.0 if trialwise else duration), duration, clip)
                        for row, clip in enumerate(clips)
                    ),
                    trialwise=trialwise,
                )
                runs.append(run)
        return tuple(runs)

    def voxels(self, subject: str) -> VoxelSpace:
        """Return the columns of the responses; where they lie has not been published."""
        counts = {split: self._responses(subject, split).shape[-1] for split in SPLITS}
        return columns(counts, self.root)

    def load(self, run: Run) -> np.ndarray:
        """Return a segment's responses, float32 (clip, voxel)."""
        number = int(run.id.removeprefix(SEGMENT[run.split])) - 1
        return np.asarray(self._responses(run.subject, run.split)[number], dtype=np.float32)

    def notices(self, subject: str) -> tuple[str, ...]:
        """Return what has been done to these arrays."""
        return (
            "MinD-Video's arrays: voxels were selected, repeats joined and responses shifted by "
            "the delay before publication",
        )


class NeuroClipsTensors(_Prepared, BetaStudy):
    """NeuroClips' tensors.

    ``subj01_train_fmri.pt`` (clip, repeat, voxel), ``subj01_test_fmri.pt``,
    ``GT_{train,test}_3fps.pt`` (clip, frame, 3, height, width), ``GT_{train,test}_caption.pt``.
    """

    responses = "subj0{number}_{split}_fmri.pt"
    prefix = "subj0"

    def __init__(self, source: StudySource) -> None:
        BetaStudy.__init__(self, source)
        where = f"options of study {source.root}"
        self.options = parse(PreparedOptions, source.options, where=where)

    def video_file(self, split: str) -> Path:
        """Return the file of a split's frames."""
        return self.root / f"GT_{split}_3fps.pt"

    def caption_file(self, split: str) -> Path:
        """Return the file of a split's captions."""
        return self.root / f"GT_{split}_caption.pt"

    @functools.cached_property
    def _videos(self) -> dict[str, np.ndarray]:
        videos = {split: open_tensor(self.video_file(split)) for split in SPLITS}
        for split, video in videos.items():
            if video.ndim != 5 or video.shape[2] != 3:
                raise StudyError(
                    "the frames have an unknown shape",
                    expected="(clip, frame, 3, height, width)",
                    found=video.shape,
                    where=self.video_file(split),
                )
            if len(video) % self.options.clips_per_segment:
                raise StudyError(
                    "the clips do not make whole segments",
                    expected=f"a multiple of {self.options.clips_per_segment} clips",
                    found=len(video),
                    where=self.video_file(split),
                    remedy="set the reader's option clips_per_segment",
                )
        return videos

    def segments(self, split: str) -> list[tuple[str, ...]]:
        """Return the names of each segment's clips."""
        length = self.options.clips_per_segment
        return segment_clips(split, len(self._videos[split]) // length, length)

    def stored_frames(self, split: str, number: int) -> np.ndarray:
        """Return the frames of a split's clip."""
        return np.asarray(self._videos[split][number]).transpose(0, 2, 3, 1)

    def read_captions(self, split: str) -> list[tuple[str, ...]]:
        """Return the captions of each clip: a text, or a list of texts."""
        path = self.caption_file(split)
        found = open_tensors(path)
        if isinstance(found, np.ndarray) and found.dtype.kind in "fiu":
            raise StudyError(
                "the captions are numbers, such as embeddings",
                expected="a list of texts",
                found=f"{found.dtype}, {found.shape}",
                where=path,
                remedy="set the reader's option captions: false",
            )
        return [_different(one, path) for one in found]

    def read_blocks(self, subject: str) -> list[BetaBlock]:
        """Return a block a segment."""
        blocks = []
        for split in SPLITS:
            path = self.response_file(subject, split)
            values = open_tensor(path)
            first = 0
            for clips in self.segments(split):
                rows = np.arange(first, first + len(clips))
                name = clips[0].rpartition("_")[0]
                blocks.append(BetaBlock(name, split, clips, rows, (values,), path))
                first += len(clips)
        return blocks

    def voxels(self, subject: str) -> VoxelSpace:
        """Return the columns of the responses; where they lie has not been published."""
        return columns({block.name: block.voxels for block in self.blocks(subject)}, self.root)

    def notices(self, subject: str) -> tuple[str, ...]:
        """Return what has been done to these tensors."""
        return (
            "NeuroClips' tensors: voxels were selected by the t-test over all 18 training segments "
            "and responses shifted by the delay before publication",
        )


def columns(counts: dict[str, int], where: Path) -> VoxelSpace:
    """Return a space of columns of which nothing else is known, or refuse unequal counts."""
    if len(set(counts.values())) != 1:
        raise StudyError(
            "training and test responses differ in voxels",
            expected="one number of voxels a subject",
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


def _different(values: Any, path: Path) -> tuple[str, ...]:
    """Return the different texts of one clip in their order."""
    if isinstance(values, np.ndarray):
        values = values.ravel().tolist()
    found = texts(list(values) if isinstance(values, tuple) else values, path)
    return tuple(dict.fromkeys(found))
