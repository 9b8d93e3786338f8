"""Metrics that look with a pretrained model: CLIP, classifiers, a VAE, video features, LPIPS."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from brainflix.evaluation import motion, nway
from brainflix.evaluation.clips import Clips
from brainflix.evaluation.frames import blocks
from brainflix.evaluation.frechet import frechet_distance
from brainflix.evaluation.identification import correlation_pairs, cosine_pairs, identified
from brainflix.evaluation.inference import Scores
from brainflix.evaluation.judges import Compare, Verdict, clip_embedding
from brainflix.evaluation.metric import METRICS, Metric, Note, NWayIdentification
from brainflix.evaluation.pairs import score_pairs

Floats = NDArray[np.float64]
GATE = 0.6  # similarity of video features up to which Mind-Animator counts CLIP-pcc as 0
_STILL_CLIP = 0.005  # cosine distance between neighbouring frames that counts as none


def _matrix(matrix: Floats, pairs: bool, **facts: Any) -> Scores:
    return Scores(np.diagonal(matrix).copy(), matrix if pairs else None, facts=facts)


class _ClipMetric(Metric):
    """Sees CLIP embeddings; a clip's own is that of the target ``clip_image``."""

    needs = ("clip",)

    def clip_similarity(self, true: Clips, predicted: Clips) -> Floats:
        """Return the cosine of every prediction with every clip."""
        return cosine_pairs(self.embedding(predicted), self.embedding(true))

    def embedding(self, clips: Clips) -> NDArray[np.float32]:
        """Return one vector a clip, from the frames' where these are computed."""
        if self.judges.clip_frames is not None:
            return clip_embedding(self.frame_embeddings(clips))
        return clips.seen("clip", self.judges.need_clip())

    def frame_embeddings(self, clips: Clips) -> NDArray[np.float32]:
        """Return a unit vector a frame, (clip, frame, dim)."""
        return clips.seen("clip_frames", self.judges.need("clip_frames"))


@METRICS.register("identification@clip")
class ClipIdentification(_ClipMetric):
    """Pairwise identification by the cosine of CLIP image embeddings."""

    def score(self, true: Clips, predicted: Clips, *, pairs: bool) -> dict[str, Scores]:
        return {"identification@clip": identified(self.clip_similarity(true, predicted), pairs)}

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


@METRICS.register("nway-identification@clip")
class NWayClipIdentification(_ClipMetric, NWayIdentification):
    """Identification among n clips by CLIP, in closed form."""

    space, words = "clip", "CLIP embedding"
    blind = "CLIP sees frames, and little of motion."

    def similarity(self, true: Clips, predicted: Clips) -> Floats:
        return self.clip_similarity(true, predicted)


@METRICS.register("retrieval-rank@clip")
class RetrievalRank(_ClipMetric):
    """Rank of the true clip among all test clips by CLIP."""

    def score(self, true: Clips, predicted: Clips, *, pairs: bool) -> dict[str, Scores]:
        from scipy.stats import rankdata

        similarity = self.clip_similarity(true, predicted)
        ranks = np.asarray(rankdata(-similarity, method="average", axis=1), dtype=np.float64)
        own = np.diagonal(ranks).copy()
        facts = {
            "median": float(np.median(own)),
            "first": float((own <= 1).mean()),
            "among_first_5": float((own <= 5).mean()),
        }
        return {"retrieval-rank@clip": Scores(own, ranks if pairs else None, (), facts, lower=True)}

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            "Retrieval rank in CLIP space",
            shows="At which place the clip that was shown stands when all test clips are ordered "
            "by the similarity of their CLIP embeddings to the reconstruction's: 1 is best, chance "
            "is half the number of clips. The median and how often it is first are noted beside "
            "it.",
            hides="The same as identification in CLIP space, of which it is another reading; it "
            "grows with the number of test clips.",
            short="CLIP rank",
            better="lower",
        )


class _ClipPcc(_ClipMetric):
    """Similarity of a reconstruction's frames to each other."""

    needs = ("clip_frames",)
    name: ClassVar[str]
    words: ClassVar[str]

    def consistency(self, predicted: Clips) -> Floats:
        """Return the mean cosine of neighbouring frames, (clip,); 1 for a single frame."""
        rows = self.frame_embeddings(predicted).astype(np.float64)
        if rows.shape[1] < 2:
            return np.ones(len(rows))
        return np.asarray(np.einsum("nfd,nfd->nf", rows[:, :-1], rows[:, 1:]).mean(axis=1))

    def score(self, true: Clips, predicted: Clips, *, pairs: bool) -> dict[str, Scores]:
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


@METRICS.register("clip-pcc@adjacent")
class ClipPccAdjacent(_ClipPcc):
    """CLIP-pcc of NeuroClips: neighbouring frames of the reconstruction."""

    name = "clip-pcc@adjacent"
    words = "The mean cosine of the CLIP embeddings of neighbouring predicted frames (NeuroClips)."


@METRICS.register("clip-pcc@all-pairs")
class ClipPccAllPairs(_ClipPcc):
    """CLIP-pcc of NEURONS: all pairs of frames of the reconstruction."""

    name = "clip-pcc@all-pairs"
    words = "The mean cosine of the CLIP embeddings of all pairs of predicted frames (NEURONS)."

    def consistency(self, predicted: Clips) -> Floats:
        """Return the mean cosine of two different frames, (clip,); 1 for a single frame."""
        rows = self.frame_embeddings(predicted).astype(np.float64)
        count = rows.shape[1]
        if count < 2:
            return np.ones(len(rows))
        total = np.square(rows.sum(axis=1)).sum(axis=1) - np.square(rows).sum(axis=(1, 2))
        return np.asarray(total / (count * (count - 1)))


@METRICS.register("clip-pcc@gated")
class ClipPccGated(_ClipPcc):
    """CLIP-pcc of Mind-Animator: neighbouring frames, 0 for clips of the wrong content."""

    name = "clip-pcc@gated"

    def score(self, true: Clips, predicted: Clips, *, pairs: bool) -> dict[str, Scores]:
        own = self.consistency(predicted)
        similarity, source = video_similarity(self, true, predicted)
        matrix = np.where(similarity > GATE, own[:, None], 0.0)
        return {self.name: _matrix(matrix, pairs, features=source)}

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


@METRICS.register("temporal-consistency@clip")
class ClipConsistency(_ClipMetric):
    """How alike reconstruction and true clip are in how much CLIP sees change between frames."""

    needs = ("clip_frames",)

    def score(self, true: Clips, predicted: Clips, *, pairs: bool) -> dict[str, Scores]:
        x, y = (self._change(clips) for clips in (true, predicted))
        matrix = motion.relative(y, x, _STILL_CLIP)
        return {"temporal-consistency@clip": _matrix(matrix, pairs)}

    def _change(self, clips: Clips) -> Floats:
        rows = self.frame_embeddings(clips).astype(np.float64)
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


def video_similarity(metric: Metric, true: Clips, predicted: Clips) -> tuple[Floats, str]:
    """Return the cosine of video features of every pair, and whose features they are."""
    judges = metric.judges
    if judges.video_features is not None:
        rows = [clips.seen("video", judges.video_features) for clips in (predicted, true)]
        return cosine_pairs(*rows), judges.names.get("video", "video features")
    embed = judges.need("clip_frames")
    rows = [clips.seen("clip_frames", embed).mean(axis=1) for clips in (predicted, true)]
    return cosine_pairs(*rows), "mean CLIP embedding of the frames"


@METRICS.register("vifi@cosine")
class VideoCosine(Metric):
    """Cosine of video features with the true clip's, as VIFI-CLIP is used."""

    @classmethod
    def obstacle(cls, judges: Any) -> str | None:
        if judges.video_features is not None or judges.clip_frames is not None:
            return None
        return "needs a model of videos, or a CLIP"

    def score(self, true: Clips, predicted: Clips, *, pairs: bool) -> dict[str, Scores]:
        matrix, source = video_similarity(self, true, predicted)
        return {"vifi@cosine": _matrix(matrix, pairs, features=source)}

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


class _NWay(Metric):
    """n-way classification: the classes of the true clip against n - 1 others."""

    true_classes: ClassVar[int]
    judge: ClassVar[str]
    rule: ClassVar[str]

    def score(self, true: Clips, predicted: Clips, *, pairs: bool) -> dict[str, Scores]:
        k, judge = self.true_classes, self.needs[0]
        model = self.judges.need(judge)
        x, y = (clips.seen(judge, model).astype(np.float64) for clips in (true, predicted))
        facts = {
            "ways": self.ways,
            "classes": int(x.shape[-1]),
            "independent_ranks": nway.chance(k, self.ways),
        }
        name = f"{self.judge}-{self.ways}way@{self.rule}"
        if not pairs:
            return {name: Scores(nway.nway_exact(x, y, self.ways, k), facts=facts)}
        return {name: _matrix(nway.nway_matrix(x, y, self.ways, k), pairs, **facts)}

    @classmethod
    def note(cls, name: str) -> Note:
        n, k = cls.ways, cls.true_classes
        what = "frames, averaged," if cls.judge == "frame" else "clips"
        rule = (
            "any of the true clip's first three classes" if k > 1 else "the true clip's first class"
        )
        return Note(
            f"{n}-way classification of {what.split(',')[0]}, {cls.rule}",
            shows=f"How often a classifier of {what} gives {rule} a higher score than all of "
            f"{n - 1} other classes drawn at random: what the published trials expect, in closed "
            "form, without draws or seed. Where ranks were independent of the truth it would be "
            f"{nway.chance(k, n):.3f}.",
            hides="What no class names. "
            + (f"With three chances, {n}-way is not 1 in {n}. " if k > 1 else "")
            + "Classes that suit most clips lift chance further: compare with the chance of "
            "permuted pairs.",
            short=f"{cls.judge} {n}-way {cls.rule}",
        )


@METRICS.register("frame-nway@top3")
class FrameTop3(_NWay):
    """n-way classification of frames by the top-3 rule of MinD-Video."""

    needs, true_classes, judge, rule = ("frame_logits",), 3, "frame", "top3"


@METRICS.register("frame-nway@argmax")
class FrameArgmax(_NWay):
    """n-way classification of frames by the single class."""

    needs, true_classes, judge, rule = ("frame_logits",), 1, "frame", "argmax"


@METRICS.register("video-nway@top3")
class VideoTop3(_NWay):
    """n-way classification of clips by the top-3 rule of MinD-Video."""

    needs, true_classes, judge, rule = ("video_logits",), 3, "video", "top3"


@METRICS.register("video-nway@argmax")
class VideoArgmax(_NWay):
    """n-way classification of clips by the single class."""

    needs, true_classes, judge, rule = ("video_logits",), 1, "video", "argmax"


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


@METRICS.register("attributes")
class Attributes(Metric):
    """Whether classifiers see in the reconstruction what was shown, an attribute at a time."""

    needs = ("classifiers",)

    def score(self, true: Clips, predicted: Clips, *, pairs: bool) -> dict[str, Scores]:
        seen, judged = self._verdicts(predicted), self._verdicts(true)
        scores = {}
        for attribute, verdict in seen.items():
            known = true.labels.get(attribute, ())
            trusted = bool(known) and set(known) <= set(verdict.names)
            truth = np.array(known if trusted else judged[attribute].labels())
            hits = (np.array(verdict.labels())[:, None] == truth[None, :]).astype(np.float64)
            scores[f"attribute@{attribute}"] = _matrix(
                hits,
                pairs,
                truth="labels of the study" if trusted else "classifier on the true clip",
                classes=len(verdict.names),
            )
        return scores

    def _verdicts(self, clips: Clips) -> dict[str, Verdict]:
        return clips.kept("attributes", lambda: self._classified(clips))

    def _classified(self, clips: Clips) -> dict[str, Verdict]:
        parts = [self.judges.classify(clips.frames[rows]) for rows in blocks(clips.frames)]
        return {
            attribute: Verdict(
                verdict.names, np.concatenate([part[attribute].probability for part in parts])
            )
            for attribute, verdict in parts[0].items()
        }

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
