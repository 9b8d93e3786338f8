"""CLIP-pcc: similarity of a reconstruction's frames to each other, in three published forms."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from brainflix.clips.clips import VideoClips
from brainflix.metrics.base import Note
from brainflix.metrics.image_embedding import EmbeddingMetric
from brainflix.metrics.video_similarity import video_similarity
from brainflix.statistics.chance import Scores, of_matrix

Floats = NDArray[np.float64]
GATE = 0.6  # similarity of video features up to which Mind-Animator counts CLIP-pcc as 0


class _ClipPcc(EmbeddingMetric):
    """Similarity of a reconstruction's frames to each other."""

    name: ClassVar[str]
    words: ClassVar[str]

    def consistency(self, predicted: VideoClips) -> Floats:
        """Return the mean cosine of neighbouring frames, (clip,); 1 for a single frame."""
        rows = self.frame_embeddings(predicted).astype(np.float64)
        if rows.shape[1] < 2:
            return np.ones(len(rows))
        return np.asarray(np.einsum("nfd,nfd->nf", rows[:, :-1], rows[:, 1:]).mean(axis=1))

    def score(self, true: VideoClips, predicted: VideoClips, *, pairs: bool) -> dict[str, Scores]:
        own = self.consistency(predicted)
        # nothing of the true clip enters: every pairing scores the same
        others = np.repeat(own[:, None], len(own), axis=1) if pairs else None
        return {self.name: Scores(own, others)}

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            f"CLIP-pcc, {cls.name.partition('@')[2]}",
            shows=cls.words,
            hides="The true clip, which does not enter: a still image scores 1, whatever it shows, "
            "and mismatched pairs score as matched ones do. Read the relative consistency instead.",
            short=f"CLIP-pcc {cls.name.partition('@')[2]}",
        )


class ClipPccAdjacent(_ClipPcc):
    """CLIP-pcc of NeuroClips: neighbouring frames of the reconstruction."""

    name = "clip-pcc@adjacent"
    words = "The mean cosine of the CLIP embeddings of neighbouring predicted frames (NeuroClips)."


class ClipPccAllPairs(_ClipPcc):
    """CLIP-pcc of NEURONS: all pairs of frames of the reconstruction."""

    name = "clip-pcc@all-pairs"
    words = "The mean cosine of the CLIP embeddings of all pairs of predicted frames (NEURONS)."

    def consistency(self, predicted: VideoClips) -> Floats:
        """Return the mean cosine of two different frames, (clip,); 1 for a single frame."""
        rows = self.frame_embeddings(predicted).astype(np.float64)
        count = rows.shape[1]
        if count < 2:
            return np.ones(len(rows))
        # |sum of unit vectors|^2 less the squared lengths is the sum of cosines over ordered pairs
        total = np.square(rows.sum(axis=1)).sum(axis=1) - np.square(rows).sum(axis=(1, 2))
        return np.asarray(total / (count * (count - 1)))


class ClipPccGated(_ClipPcc):
    """CLIP-pcc of Mind-Animator: neighbouring frames, 0 for clips of the wrong content."""

    name = "clip-pcc@gated"

    def score(self, true: VideoClips, predicted: VideoClips, *, pairs: bool) -> dict[str, Scores]:
        own = self.consistency(predicted)
        similarity, source = video_similarity(self, true, predicted)
        matrix = np.where(similarity > GATE, own[:, None], 0.0)
        return {self.name: of_matrix(matrix, pairs, features=source)}

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            "CLIP-pcc, gated",
            shows="The mean cosine of the CLIP embeddings of neighbouring predicted frames, set to "
            "0 "
            f"where the similarity of video features to the true clip's is {GATE} or less "
            "(Mind-Animator).",
            hides="How the true clip moves: above the gate a still image scores 1. The gate was "
            "set for the features of one model and means nothing for another's.",
            short="CLIP-pcc gated",
        )
