"""Retrieval: the rank of the true clip among all test clips."""

from __future__ import annotations

import numpy as np

from brainflix.clips.clips import VideoClips
from brainflix.metrics.base import Note
from brainflix.metrics.image_embedding import EmbeddingMetric
from brainflix.statistics.chance import Scores


class RetrievalRank(EmbeddingMetric):
    """Rank of the true clip among all test clips by CLIP."""

    def score(self, true: VideoClips, predicted: VideoClips, *, pairs: bool) -> dict[str, Scores]:
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
