"""Attributes: do classifiers see in the reconstruction what was shown?"""

from __future__ import annotations

import numpy as np

from brainflix.clips.clips import VideoClips
from brainflix.clips.store import blocks
from brainflix.metrics.base import Metric, Note
from brainflix.metrics.models import ClassProbabilities
from brainflix.statistics.chance import Scores, of_matrix


class Attributes(Metric):
    """Whether classifiers see in the reconstruction what was shown, an attribute by attribute."""

    def score(self, true: VideoClips, predicted: VideoClips, *, pairs: bool) -> dict[str, Scores]:
        of_predicted, of_true = self._probabilities(predicted), self._probabilities(true)
        scores = {}
        for attribute, probabilities in of_predicted.items():
            known = true.labels.get(attribute, ())
            trusted = bool(known) and set(known) <= set(probabilities.names)
            truth = np.array(known if trusted else of_true[attribute].labels())
            # (prediction, clip): is the prediction's class that of the clip?
            hits = (np.array(probabilities.labels())[:, None] == truth[None, :]).astype(np.float64)
            scores[f"attribute@{attribute}"] = of_matrix(
                hits,
                pairs,
                truth="labels of the study" if trusted else "classifier on the true clip",
                classes=len(probabilities.names),
            )
        return scores

    def _probabilities(self, clips: VideoClips) -> dict[str, ClassProbabilities]:
        return clips.kept("attributes", lambda: self._classified(clips))

    def _classified(self, clips: VideoClips) -> dict[str, ClassProbabilities]:
        parts = [self.models.classify(clips.frames[rows]) for rows in blocks(clips.frames)]
        return {
            attribute: ClassProbabilities(
                probabilities.names, np.concatenate([part[attribute].probability for part in parts])
            )
            for attribute, probabilities in parts[0].items()
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
