"""Metrics that look with CLIP: identification, retrieval, consistency, similarity of videos."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from brainflix.clips.clips import Clips
from brainflix.metrics.base import METRICS, Metric, Note, NWayIdentification
from brainflix.metrics.identification import cosine_pairs, identified
from brainflix.metrics.motion import relative
from brainflix.metrics.networks import Judges, clip_embedding
from brainflix.statistics.chance import Scores, of_matrix

Floats = NDArray[np.float64]
GATE = 0.6  # similarity of video features up to which Mind-Animator counts CLIP-pcc as 0
_STILL_CLIP = 0.005  # cosine distance between neighbouring frames that counts as none


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


@METRICS.register("temporal-consistency@clip")
class ClipConsistency(_ClipMetric):
    """How alike reconstruction and true clip are in how much CLIP sees change between frames."""

    needs = ("clip_frames",)

    def score(self, true: Clips, predicted: Clips, *, pairs: bool) -> dict[str, Scores]:
        x, y = (self._change(clips) for clips in (true, predicted))
        matrix = relative(y, x, _STILL_CLIP)
        return {"temporal-consistency@clip": of_matrix(matrix, pairs)}

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
    def obstacle(cls, judges: Judges) -> str | None:
        if judges.video_features is not None or judges.clip_frames is not None:
            return None
        return "needs a model of videos, or a CLIP"

    def score(self, true: Clips, predicted: Clips, *, pairs: bool) -> dict[str, Scores]:
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
