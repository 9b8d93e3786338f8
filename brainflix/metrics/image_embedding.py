"""CLIP embeddings of frames and clips, which several metrics compare."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from brainflix.clips.clips import VideoClips
from brainflix.metrics.base import Metric
from brainflix.metrics.models import clip_embedding
from brainflix.metrics.similarity import cosine_pairs

Floats = NDArray[np.float64]


class EmbeddingMetric(Metric):
    """A metric of CLIP embeddings; a clip's own is that of the target ``clip_image``."""

    def clip_similarity(self, true: VideoClips, predicted: VideoClips) -> Floats:
        """Return the cosine of every prediction with every clip, (prediction, clip)."""
        embedded = (clip_embedding(self.frame_embeddings(clips)) for clips in (predicted, true))
        return cosine_pairs(*embedded)

    def frame_embeddings(self, clips: VideoClips) -> NDArray[np.float32]:
        """Return a unit vector for each frame, (clip, frame, dim)."""
        return clips.seen("clip_frames", self.models.require("image_embedding"))
