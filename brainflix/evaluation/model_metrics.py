"""Metrics that look with other models: video features, a VAE, LPIPS."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainflix.evaluation.chance import Scores
from brainflix.evaluation.clips import Clips
from brainflix.evaluation.frechet import frechet_distance
from brainflix.evaluation.identification import correlation_pairs, identified
from brainflix.evaluation.judges import Compare
from brainflix.evaluation.metric import METRICS, Metric, Note, NWayIdentification
from brainflix.evaluation.pairs import score_pairs

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
