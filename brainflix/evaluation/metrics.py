"""The metrics of reconstructed clips, by name.

A metric is one class and one entry in :data:`METRICS`. It scores a set of reconstructions against
the clips they should show, and says in words what that shows and what it does not. Names state the
definition (``ssim@rgb``), because the literature uses one name for several.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from brainflix.evaluation import pixels, ssim
from brainflix.evaluation.clips import Clips
from brainflix.evaluation.identification import cosine_pairs, identification_pairs
from brainflix.evaluation.inference import Scores, partner_sample
from brainflix.evaluation.judges import Judges
from brainflix.registry import Registry

_FULL_SAMPLES = 40_000_000  # samples in all clips up to which SSIM is formed for all pairs
_SAMPLED_PARTNERS = 8


@dataclass(frozen=True)
class Note:
    """A metric in words, for the report."""

    title: str
    shows: str
    hides: str
    unit: str = ""
    short: str = ""  # for a narrow place, where it differs from the title


class Metric(ABC):
    """A family of scores that share a computation.

    Parameters
    ----------
    judges : Judges
        The pretrained models at hand; ``needs`` names those that this metric cannot do without.
    seed : int
        Seed of what the metric samples, if it samples.
    """

    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, judges: Judges, seed: int = 0) -> None:
        self.judges, self.seed = judges, seed

    @abstractmethod
    def score(self, true: Clips, predicted: Clips, *, pairs: bool) -> dict[str, Scores]:
        """Return the scores by name.

        Parameters
        ----------
        true, predicted : Clips
            Clip i of one belongs to clip i of the other.
        pairs : bool
            Whether to score each reconstruction against other clips too, for chance.
        """

    @classmethod
    @abstractmethod
    def note(cls, name: str) -> Note:
        """Return what the score called ``name`` means."""


METRICS: Registry[type[Metric]] = Registry("metric")


def note(name: str) -> Note:
    """Return what a score means, by its name in metrics.json."""
    family = "attributes" if name.startswith("attribute@") else name
    return METRICS[family].note(name)


@METRICS.register("ssim@rgb")
class SsimRgb(Metric):
    """SSIM by scikit-image's defaults, a frame, then the mean over frames."""

    def score(self, true: Clips, predicted: Clips, *, pairs: bool) -> dict[str, Scores]:
        own = ssim.ssim(true.frames, predicted.frames)
        if not pairs:
            return {"ssim@rgb": Scores(own)}
        n = len(true)
        if true.frames.size <= _FULL_SAMPLES:
            reference = true.once("ssim", ssim.SsimReference)
            every = np.tile(np.arange(n), (n, 1))
            others = ssim.ssim_pairs(reference, ssim.SsimReference(predicted.frames), every)
            return {"ssim@rgb": Scores(own, others)}
        partners = partner_sample(n, min(n - 1, _SAMPLED_PARTNERS), self.seed)
        columns = [ssim.ssim(true.frames[p], predicted.frames) for p in partners.T]
        facts = {"sampled_pairs": int(partners.size)}
        return {"ssim@rgb": Scores(own, np.stack(columns, axis=1), partners, facts)}

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            "SSIM",
            shows="Local brightness, contrast and structure in 7 x 7 windows of each RGB channel, "
            "a frame at a time, averaged over frames (scikit-image's defaults, data range 255).",
            hides="What is seen. Smooth images score well: a flat grey clip or the mean of the "
            "training clips can beat recognisable reconstructions, so read it beside these two. "
            "Motion does not enter.",
        )


@METRICS.register("psnr")
class Psnr(Metric):
    """Peak signal-to-noise ratio, data range 255, the mean over frames."""

    def score(self, true: Clips, predicted: Clips, *, pairs: bool) -> dict[str, Scores]:
        matrix = pixels.psnr_pairs(true.frames, predicted.frames)
        return {"psnr": Scores(np.diagonal(matrix).copy(), matrix if pairs else None)}

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            "PSNR",
            shows="Squared error of the pixels on a logarithmic scale: right colours in the right "
            "places.",
            hides="What is seen. An average of everything is nearer to any clip than a sharp "
            "picture of the right thing a few pixels off, so the mean training clip is a strong "
            "rival.",
            unit="dB",
        )


@METRICS.register("identification@clip")
class ClipIdentification(Metric):
    """Pairwise identification by the cosine of CLIP image embeddings."""

    needs = ("clip",)

    def score(self, true: Clips, predicted: Clips, *, pairs: bool) -> dict[str, Scores]:
        embed = self.judges.need_clip()
        similarity = cosine_pairs(predicted.once("clip", embed), true.once("clip", embed))
        return {"identification@clip": _identified(similarity, pairs)}

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            "Identification in CLIP space",
            shows="How often a reconstruction's CLIP embedding is nearer to the clip that was "
            "shown than to another test clip, over all other test clips. A guess, a constant and "
            "a grey frame all score 0.5.",
            hides="How far apart the test clips are: it is easy with clips that differ in kind "
            "and hard with clips that look alike. CLIP sees frames, and little of motion.",
            short="CLIP identification",
        )


@METRICS.register("identification@pixel")
class PixelIdentification(Metric):
    """Pairwise identification by the correlation of all pixels of a clip."""

    def score(self, true: Clips, predicted: Clips, *, pairs: bool) -> dict[str, Scores]:
        similarity = pixels.pixel_correlation_pairs(true.frames, predicted.frames)
        return {"identification@pixel": _identified(similarity, pairs)}

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            "Identification by pixels",
            shows="The same choice between two clips by the correlation of their pixels: layout, "
            "brightness and colour in place and time.",
            hides="What is seen, wherever the layout alone tells the clips apart, such as a dark "
            "scene among bright ones.",
            short="pixel identification",
        )


@METRICS.register("attributes")
class Attributes(Metric):
    """Whether classifiers see in the reconstruction what was shown, an attribute at a time."""

    needs = ("classifiers",)

    def score(self, true: Clips, predicted: Clips, *, pairs: bool) -> dict[str, Scores]:
        seen = predicted.once("attributes", self.judges.classify)
        judged = true.once("attributes", self.judges.classify)
        scores = {}
        for attribute, verdict in seen.items():
            known = true.labels.get(attribute, ())
            trusted = bool(known) and set(known) <= set(verdict.names)
            truth = np.array(known if trusted else judged[attribute].labels())
            hits = (np.array(verdict.labels())[:, None] == truth[None, :]).astype(np.float64)
            scores[f"attribute@{attribute}"] = Scores(
                np.diagonal(hits).copy(),
                hits if pairs else None,
                facts={
                    "truth": "labels of the study" if trusted else "classifier on the true clip",
                    "classes": len(verdict.names),
                },
            )
        return scores

    @classmethod
    def note(cls, name: str) -> Note:
        attribute = name.partition("@")[2]
        return Note(
            f"Right {attribute}",
            shows=f"The fraction of reconstructions in which a classifier sees the {attribute} "
            "that was shown, as its first choice of all classes.",
            hides="What the classifier was not taught. Chance is what random pairings score: it "
            "follows how often each class is shown and reconstructed, not one over the number of "
            "classes.",
        )


def _identified(similarity: NDArray[np.float64], pairs: bool) -> Scores:
    matrix = identification_pairs(similarity)
    nearest = len(np.unique(similarity.argmax(axis=1)))
    return Scores(
        np.diagonal(matrix).copy(),
        matrix if pairs else None,
        facts={"distinct_nearest": nearest},
    )


def usable(names: tuple[str, ...], judges: Judges) -> tuple[dict[str, type[Metric]], list[str]]:
    """Return the metrics asked for that the judges at hand allow, and the names of the others."""
    at_hand: Mapping[str, bool] = {
        "clip": judges.clip is not None,
        "classifiers": bool(judges.classifiers),
    }
    chosen, skipped = {}, []
    for name in names:
        metric = METRICS[name]
        if all(at_hand[need] for need in metric.needs):
            chosen[name] = metric
        else:
            skipped.append(name)
    return chosen, skipped
