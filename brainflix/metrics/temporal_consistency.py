"""Temporal consistency: do reconstruction and true clip change equally much between frames?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from brainflix.clips.clips import VideoClips
from brainflix.metrics.base import Note
from brainflix.metrics.image_embedding import EmbeddingMetric
from brainflix.metrics.motion_energy import BrightnessMetric
from brainflix.statistics.chance import Scores, of_matrix

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
STILL = 0.25  # grey levels of change between frames that count as none
STILL_EMBEDDING = 0.005  # cosine distance between neighbouring frames that counts as none


def change(clips: Singles) -> Floats:
    """Return how much each clip changes from frame to frame, (clip,), in grey levels.

    The root of the mean squared difference between neighbouring frames; 0 for a single frame.
    """
    if clips.shape[1] < 2:
        return np.zeros(len(clips))
    return np.sqrt(np.square(np.diff(clips.astype(np.float64), axis=1)).mean(axis=(1, 2, 3)))


def relative(predicted: Floats, true: Floats, floor: float) -> Floats:
    """Return min / max of two amounts for every pair, (prediction, true clip).

    ``floor`` is added to both, so that two clips that hardly change count as alike.
    """
    # (prediction, 1) against (1, clip)
    first, second = predicted[:, None] + floor, true[None, :] + floor
    return np.asarray(np.minimum(first, second) / np.maximum(first, second))


class TemporalConsistency(BrightnessMetric):
    """How alike reconstruction and true clip are in how much they change from frame to frame."""

    def score(self, true: VideoClips, predicted: VideoClips, *, pairs: bool) -> dict[str, Scores]:
        x, y = (change(self.brightness(clips)) for clips in (true, predicted))
        matrix = relative(y, x, STILL)
        return {
            "temporal-consistency@relative": Scores(
                np.diagonal(matrix).copy(),
                matrix if pairs else None,
                facts={"change_true": float(x.mean()), "change_predicted": float(y.mean())},
            )
        }

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            "Temporal consistency, relative",
            shows="Whether the reconstruction changes from frame to frame as much as the true clip "
            "does: the smaller of the two changes over the larger (root mean square difference of "
            "luma between neighbouring frames). A still image scores near 0 where something moved, "
            "and so does flicker.",
            hides="What changes and whether it is the right thing: any motion of the right amount "
            "will do.",
            short="relative consistency",
        )


class ClipTemporalConsistency(EmbeddingMetric):
    """How alike reconstruction and true clip are in how much CLIP sees change between frames."""

    def score(self, true: VideoClips, predicted: VideoClips, *, pairs: bool) -> dict[str, Scores]:
        x, y = (self._change(clips) for clips in (true, predicted))
        matrix = relative(y, x, STILL_EMBEDDING)
        return {"temporal-consistency@clip": of_matrix(matrix, pairs)}

    def _change(self, clips: VideoClips) -> Floats:
        rows = self.frame_embeddings(clips).astype(np.float64)  # (clip, frame, dim)
        if rows.shape[1] < 2:
            return np.zeros(len(rows))
        cosine = np.einsum("nfd,nfd->nf", rows[:, :-1], rows[:, 1:]).mean(axis=1)
        return np.asarray(np.maximum(1 - cosine, 0))

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            "Temporal consistency in CLIP space, relative",
            shows="Whether CLIP sees neighbouring frames of the reconstruction differ as much as "
            "those of the true clip: the smaller mean cosine distance over the larger. A still "
            "image does not win where something happens.",
            hides="What changes: any change of the right amount will do.",
            short="CLIP consistency",
        )
