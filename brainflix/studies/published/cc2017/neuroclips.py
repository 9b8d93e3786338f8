"""CC2017 as NeuroClips (Gong et al. 2024) prepared it."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from brainflix.errors import StudyError
from brainflix.formats.torch import open_tensor, open_tensors
from brainflix.studies.estimates.study import (
    BetaStudy,
    BetaTable,
    join_parts,
    repeated_trials,
)
from brainflix.studies.published.cc2017.prepared import (
    Prepared,
    distinct_captions,
    segment_clips,
)
from brainflix.studies.study import SPLITS


class NeuroClipsTensors(Prepared, BetaStudy):
    """NeuroClips' tensors.

    ``subj01_train_fmri.pt`` (clip, repeat, voxel), ``subj01_test_fmri.pt``,
    ``GT_{train,test}_3fps.pt`` (clip, frame, 3, height, width), ``GT_{train,test}_caption.pt``.
    """

    responses = "subj0{number}_{split}_fmri.pt"
    prefix = "subj0"

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
        captions = open_tensors(path)
        if isinstance(captions, np.ndarray) and captions.dtype.kind in "fiu":
            raise StudyError(
                "the captions are numbers, such as embeddings",
                expected="a list of texts",
                found=f"{captions.dtype}, {captions.shape}",
                where=path,
                remedy="set the reader's option captions: false",
            )
        return [distinct_captions(one, path) for one in captions]

    def read_tables(self, subject: str) -> list[BetaTable]:
        """Return a table for each segment."""
        tables = []
        for split in SPLITS:
            path = self.response_file(subject, split)
            betas = join_parts([open_tensor(path)], path)
            recorded = betas.recorded()
            first = 0
            for clips in self.segments(split):
                places = np.arange(first, first + len(clips))
                name = clips[0].rpartition("_")[0]
                tables += repeated_trials(name, split, clips, places, betas, recorded, path)
                first += len(clips)
        return tables

    def notices(self, subject: str) -> tuple[str, ...]:
        """Return what has been done to these tensors."""
        return (
            "NeuroClips' tensors: voxels were selected by the t-test over all 18 training segments "
            "and responses shifted by the delay before publication",
        )
