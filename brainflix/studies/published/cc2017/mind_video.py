"""CC2017 as MinD-Video (Chen et al. 2023) prepared it."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from brainflix.errors import StudyError
from brainflix.formats.arrays import read_array
from brainflix.formats.pickle import read_object_npy
from brainflix.formats.voxel_space import VoxelSpace
from brainflix.studies.published.cc2017.prepared import (
    SEGMENT,
    Prepared,
    column_space,
    distinct_captions,
    segment_clips,
)
from brainflix.studies.study import SPLITS, Event, Run


class MindVideoArrays(Prepared):
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
        return [distinct_captions(row, self.caption_file(split)) for row in rows]

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
        """Return a run for each segment."""
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
        return column_space(counts, self.root)

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
