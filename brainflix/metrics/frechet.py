"""Frechet distance between sets of clips, in the features of a model of videos.

torchmetrics has it for images, with a network that it downloads. This implementation takes features
of any model, and needs no matrix root.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainflix.clips.clips import VideoClips
from brainflix.errors import DataError
from brainflix.metrics.base import Metric, Note
from brainflix.statistics.chance import Scores


def frechet_distance(true: NDArray[Any], predicted: NDArray[Any]) -> float:
    """Return the squared Frechet distance of the Gaussians fitted to two sets of features.

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), with sample covariances (Heusel et al. 2017;
    Unterthiner et al. 2018 for videos). The trace of the root is the sum of the singular values of
    the product of the two centred sets, which needs no matrix root and stays real where there are
    fewer clips than dimensions.

    Parameters
    ----------
    true, predicted : ndarray, shape (clip, dim)
        At least two clips each; the numbers of clips may differ.
    """
    x, y = true.astype(np.float64), predicted.astype(np.float64)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise DataError(
            "a Frechet distance needs two sets of vectors of one length",
            expected="(clip, dim), at least 2 clips each",
            found=(x.shape, y.shape),
        )
    # centred rows whose inner products are the sample covariances: C1 = a'a, C2 = b'b
    centre_x, centre_y = x.mean(axis=0), y.mean(axis=0)
    a = (x - centre_x) / np.sqrt(len(x) - 1)
    b = (y - centre_y) / np.sqrt(len(y) - 1)
    # tr((C1 C2)^(1/2)) is the sum of the singular values of a b'
    overlap = np.linalg.svd(
        a @ b.T if a.shape[1] > len(a) else _roots(a, b), compute_uv=False
    ).sum()
    spread = float((a**2).sum() + (b**2).sum())
    distance = float(((centre_x - centre_y) ** 2).sum()) + spread - 2 * float(overlap)
    return max(distance, 0.0)


def _roots(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return R1 R2^T of the triangular factors: the singular values of a b^T, in fewer rows."""
    return np.asarray(np.linalg.qr(a).R @ np.linalg.qr(b).R.T)


class FrechetVideoDistance(Metric):
    """Frechet distance between the sets of true and reconstructed clips."""

    def score(self, true: VideoClips, predicted: VideoClips, *, pairs: bool) -> dict[str, Scores]:
        embed = self.models.require("video_features")
        x, y = (clips.seen("video", embed) for clips in (true, predicted))
        facts = {"dimensions": int(x.shape[1]), "clips": len(x)}
        whole = frechet_distance(x, y)
        return {"frechet@video": Scores(np.empty(0), facts=facts, lower=True, whole=whole)}

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            "Frechet video distance",
            shows="How far the whole set of reconstructions lies from the whole set of true clips "
            "in the features of a model of videos, both taken for Gaussian (squared distance of "
            "means plus that of covariances). Less is better.",
            hides="Which reconstruction belongs to which clip: shuffled pairs score the same, so "
            "it speaks of realism alone and has no chance level. With few clips it is far too "
            "high, and values of different numbers of clips or models do not compare.",
            short="Frechet",
            better="lower",
        )
