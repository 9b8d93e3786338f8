"""Metrics that look with other models: video features, a VAE, LPIPS."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainflix.clips.clips import Clips
from brainflix.errors import DataError
from brainflix.metrics.base import METRICS, Metric, Note, NWayIdentification
from brainflix.metrics.identification import correlation_pairs, identified
from brainflix.metrics.networks import Compare
from brainflix.metrics.pairwise import score_pairs
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
    centre_x, centre_y = x.mean(axis=0), y.mean(axis=0)
    a = (x - centre_x) / np.sqrt(len(x) - 1)
    b = (y - centre_y) / np.sqrt(len(y) - 1)
    overlap = np.linalg.svd(
        a @ b.T if a.shape[1] > len(a) else _roots(a, b), compute_uv=False
    ).sum()
    spread = float((a**2).sum() + (b**2).sum())
    distance = float(((centre_x - centre_y) ** 2).sum()) + spread - 2 * float(overlap)
    return max(distance, 0.0)


def _roots(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return R1 R2^T of the triangular factors: the singular values of a b^T, in fewer rows."""
    return np.asarray(np.linalg.qr(a).R @ np.linalg.qr(b).R.T)


Floats = NDArray[np.float64]


@METRICS.register("frechet@video")
class FrechetVideo(Metric):
    """Frechet distance between the sets of true and reconstructed clips."""

    needs = ("video_features",)

    def score(self, true: Clips, predicted: Clips, *, pairs: bool) -> dict[str, Scores]:
        embed = self.judges.need("video_features")
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


def latent_similarity(metric: Metric, true: Clips, predicted: Clips) -> Floats:
    """Return the correlation of a VAE's latents of every pair."""
    encode = metric.judges.need("latents")
    x, y = (clips.seen("latents", encode) for clips in (true, predicted))
    return correlation_pairs(y, x)


@METRICS.register("identification@latent")
class LatentIdentification(Metric):
    """Pairwise identification by the correlation of a VAE's latents."""

    needs = ("latents",)

    def score(self, true: Clips, predicted: Clips, *, pairs: bool) -> dict[str, Scores]:
        similarity = latent_similarity(self, true, predicted)
        return {"identification@latent": identified(similarity, pairs)}

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            "Identification in latent space",
            shows="How often a reconstruction's latents correlate better with those of the clip "
            "that was shown than with another test clip's: what the generator's VAE keeps of "
            "layout, colour and texture.",
            hides="What is seen, wherever the layout alone tells the clips apart. It favours "
            "systems that were trained on the latents of this VAE.",
            short="latent identification",
        )


@METRICS.register("nway-identification@latent")
class NWayLatentIdentification(NWayIdentification):
    """Identification among n clips by a VAE's latents, in closed form."""

    needs = ("latents",)
    space, words = "latent", "latents"
    blind = "What is seen, wherever the layout alone tells the clips apart."

    def similarity(self, true: Clips, predicted: Clips) -> Floats:
        return latent_similarity(self, true, predicted)


class _Perceptual:
    """Compares clips by a perceptual distance."""

    def __init__(self, compare: Compare) -> None:
        self.compare = compare

    def own(self, true: NDArray[Any], predicted: NDArray[Any]) -> dict[str, Floats]:
        """Return distances of prediction i from clip i."""
        return {"lpips": self.compare(true, predicted)}

    def every(self, true: NDArray[Any], predicted: NDArray[Any]) -> dict[str, Floats]:
        """Return distances of every prediction from every clip."""
        rows = [self.compare(true, np.repeat(one[None], len(true), axis=0)) for one in predicted]
        return {"lpips": np.stack(rows)}


@METRICS.register("lpips")
class Lpips(Metric):
    """LPIPS, the mean over frames, where its weights are given."""

    needs = ("perceptual",)

    def score(self, true: Clips, predicted: Clips, *, pairs: bool) -> dict[str, Scores]:
        compare = self.judges.need("perceptual")
        kernel = _Perceptual(compare)  # type: ignore[arg-type]
        return score_pairs(
            {lambda names: kernel: {"lpips": True}}, true, predicted, pairs=pairs, seed=self.seed
        )

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            "LPIPS",
            shows="Perceptual distance of frames in the features of a network for images, weighted "
            "by people's judgements of distortions (Zhang et al. 2018), the mean over frames. Less "
            "is better.",
            hides="Motion. It was fitted to small distortions of the same picture, not to pictures "
            "of the same thing.",
            better="lower",
        )
