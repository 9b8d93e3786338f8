"""How near test clips lie to training clips, and whether scores depend on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainflix.clips.clips import VideoClips, even_frames
from brainflix.clips.store import Frames
from brainflix.errors import DataError
from brainflix.evaluation.baselines import thumbnails
from brainflix.evaluation.clip_table import ClipScore
from brainflix.metrics.models import MetricModels, clip_embedding
from brainflix.metrics.similarity import correlation_pairs, cosine_pairs

_BLOCK = 512  # rows of a matrix of pairs held at a time
_THUMBNAIL_FRAMES = 8
PIXELS = "pixels"


@dataclass(frozen=True)
class Neighbour:
    """The training clip that is nearest to a test clip, and how similar the two are."""

    nearest: str
    similarity: float


@dataclass(frozen=True)
class NearnessAudit:
    """How similar the nearest training clips are.

    Attributes
    ----------
    space : str
        Where clips are compared: "clip" (cosine of CLIP embeddings), "pixels" (Pearson's r of
        thumbnails), or the name of a target (cosine).
    training_clips : int
    median, max : float
        Of the similarities of all test clips.
    rank_correlation : mapping of str to float or None
        Metric to Spearman's rho of its scores with the similarity; None where one is constant.
    clips : mapping of str to Neighbour
        By test clip.
    """

    space: str
    training_clips: int
    median: float
    max: float
    rank_correlation: Mapping[str, float | None]
    clips: Mapping[str, Neighbour]


class Space:
    """The space in which clips are compared: CLIP's where there is a CLIP, else thumbnails.

    Parameters
    ----------
    models : MetricModels

    Attributes
    ----------
    name : str
        "clip" or "pixels".
    """

    def __init__(self, models: MetricModels) -> None:
        self._embed = models.image_embedding
        self.name = PIXELS if self._embed is None else "clip"

    def rows(self, clips: VideoClips) -> NDArray[np.float32]:
        """Return a row for each clip, (clip, dim); computed once for one set of clips."""
        if self._embed is None:
            return clips.feature("thumbnails", small_rows)
        return clip_embedding(clips.seen("clip_frames", self._embed))


def small_rows(frames: Frames) -> NDArray[np.float32]:
    """Return thumbnails of at most eight evenly chosen frames of each clip, (clip, dim)."""
    chosen = even_frames(frames.shape[1], min(frames.shape[1], _THUMBNAIL_FRAMES))
    return thumbnails(frames[:, chosen])


def nearest(
    rows: NDArray[Any], others: NDArray[Any], space: str
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the most similar of other clips for each clip, and how similar it is.

    Parameters
    ----------
    rows, others : ndarray, shape (n, dim) and (m, dim)
        Embeddings or thumbnails.
    space : str
        "pixels": by Pearson's r; any other: by the cosine.
    """
    if len(others) == 0:
        raise DataError("no training clips to compare with", expected="at least one", found=0)
    compare = correlation_pairs if space == PIXELS else cosine_pairs
    places, similar = [], []
    # A block of rows against all others, so that the matrix of pairs never lies in memory whole.
    for start in range(0, len(rows), _BLOCK):
        matrix = compare(rows[start : start + _BLOCK], others)  # (block, m)
        places.append(matrix.argmax(axis=1))
        similar.append(matrix.max(axis=1))
    return np.concatenate(places), np.concatenate(similar)


def neighbours(
    test: tuple[Sequence[str], NDArray[Any]],
    training: tuple[Sequence[str], NDArray[Any]],
    space: str,
) -> dict[str, Neighbour]:
    """Return the nearest training clip of each test clip; both as names and rows (clip, dim)."""
    places, similar = nearest(test[1], training[1], space)
    return {
        clip: Neighbour(training[0][k], value)
        for clip, k, value in zip(test[0], places.tolist(), similar.tolist(), strict=True)
    }


def nearness_audit(
    clips: Mapping[str, Neighbour],
    training_clips: int,
    space: str,
    scores: Sequence[ClipScore],
    system: str,
) -> NearnessAudit:
    """Return how near test clips lie to training clips, with the rank correlation of each metric.

    Parameters
    ----------
    clips : mapping of str to Neighbour
        By test clip.
    training_clips : int
    space : str
    scores : sequence of ClipScore
        Of one study.
    system : str
        The system whose scores count.
    """
    values = np.array([each.similarity for each in clips.values()])
    return NearnessAudit(
        space,
        training_clips,
        float(np.median(values)),
        float(values.max()),
        rank_correlations({clip: each.similarity for clip, each in clips.items()}, scores, system),
        clips,
    )


def rank_correlations(
    similarity: Mapping[str, float], scores: Sequence[ClipScore], system: str
) -> dict[str, float | None]:
    """Return Spearman's rho of every metric with the similarity to training.

    Parameters
    ----------
    similarity : mapping of str to float
        Clip to the similarity of its nearest training clip.
    scores : sequence of ClipScore
    system : str
        The system whose scores count. A clip's scores of several subjects are averaged.
    """
    found: dict[str, dict[str, list[float]]] = {}
    for row in scores:
        if row.system == system and row.clip in similarity:
            found.setdefault(row.metric, {}).setdefault(row.clip, []).append(row.value)
    return {
        metric: similarity_effect(
            np.array([similarity[clip] for clip in by_clip]),
            np.array([np.mean(values) for values in by_clip.values()]),
        )
        for metric, by_clip in found.items()
    }


def similarity_effect(similarity: NDArray[Any], scores: NDArray[Any]) -> float | None:
    """Return Spearman's rho of a score with the similarity to training, None where one is constant.

    Well above 0, the score is earned on clips that resemble training clips. Scores that are not
    finite, such as the PSNR of a perfect clip, are left out.
    """
    from scipy.stats import spearmanr

    finite = np.isfinite(scores) & np.isfinite(similarity)
    similarity, scores = similarity[finite], scores[finite]
    if len(scores) < 3 or np.ptp(similarity) == 0 or np.ptp(scores) == 0:
        return None
    return float(spearmanr(similarity, scores).statistic)
