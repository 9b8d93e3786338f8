"""Similarity of whole clips by the features of a model of videos."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from brainflix.clips.clips import VideoClips
from brainflix.metrics.base import Metric, Note
from brainflix.metrics.similarity import cosine_pairs
from brainflix.statistics.chance import Scores, of_matrix

Floats = NDArray[np.float64]


def video_similarity(metric: Metric, true: VideoClips, predicted: VideoClips) -> tuple[Floats, str]:
    """Return the cosine of video features of every pair, and which model's features they are.

    Without a model of videos they are the mean of CLIP's embeddings of the frames.
    """
    models = metric.models
    if models.video_features is not None:
        rows = [clips.seen("video", models.video_features) for clips in (predicted, true)]
        return cosine_pairs(*rows), models.names.get("video", "video features")
    embed = models.require("image_embedding")
    rows = [clips.seen("clip_frames", embed).mean(axis=1) for clips in (predicted, true)]
    return cosine_pairs(*rows), "mean CLIP embedding of the frames"


class VideoCosine(Metric):
    """Cosine of video features with the true clip's, as VIFI-CLIP is used."""

    def score(self, true: VideoClips, predicted: VideoClips, *, pairs: bool) -> dict[str, Scores]:
        matrix, source = video_similarity(self, true, predicted)
        return {"vifi@cosine": of_matrix(matrix, pairs, features=source)}

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            "Cosine of video features",
            shows="The cosine of the reconstruction's and the true clip's video features. "
            "Published values are of a CLIP tuned on videos (VIFI-CLIP); the features used here "
            "are named beside the value. Without a model of videos they are the mean of CLIP's "
            "embeddings of the frames.",
            hides="How alike any two clips are: features of unrelated clips have a high cosine "
            "too, so only the distance from chance counts.",
            short="video cosine",
        )
