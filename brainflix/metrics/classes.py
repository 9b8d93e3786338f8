"""Metrics that look with classifiers: n-way classification, attributes."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from brainflix.clips.clips import Clips
from brainflix.clips.store import blocks
from brainflix.metrics import nway
from brainflix.metrics.base import METRICS, Metric, Note
from brainflix.metrics.networks import Verdict
from brainflix.statistics.chance import Scores, of_matrix


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
        return {name: of_matrix(nway.nway_matrix(x, y, self.ways, k), pairs, **facts)}

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
            scores[f"attribute@{attribute}"] = of_matrix(
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
