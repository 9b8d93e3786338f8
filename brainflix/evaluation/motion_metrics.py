"""Metrics of motion: energy of moving patterns, optical flow, change over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainflix.evaluation import motion
from brainflix.evaluation.chance import Scores, block_sample, of_matrix
from brainflix.evaluation.clips import Clips, Feature, random_rows
from brainflix.evaluation.farneback import farneback, opencv_gray
from brainflix.evaluation.frames import threaded
from brainflix.evaluation.identification import correlation_pairs, identified
from brainflix.evaluation.metric import METRICS, Metric, Note, NWayIdentification
from brainflix.evaluation.pairs import assembled

STILL = 0.25  # grey levels of change between frames that count as none
STILL_FLOW = 0.05 / motion.SIDE  # of the longer side: flow that counts as none
_FLOW = "farneback"
_FLOW_PIXELS = 30_000_000  # pixels of flow up to which all clips' end-point errors are computed


class _MotionMetric(Metric):
    def features(self) -> Mapping[str, Feature]:
        return {"brightness": motion.brightness}

    def brightness(self, clips: Clips) -> NDArray[np.float32]:
        return clips.feature("brightness", motion.brightness)

    def energy_similarity(self, true: Clips, predicted: Clips) -> NDArray[np.float64]:
        """Return r over channels of log energies, (prediction, clip), a channel standardised.

        Mean and deviation of a channel are those over the true clips: what all clips have in common
        correlates with nothing then.
        """
        x, y = (
            clips.derived("energy", self.brightness(clips), motion.motion_energy).astype(np.float64)
            for clips in (true, predicted)
        )
        centre, spread = x.mean(axis=0), x.std(axis=0)
        scale = np.divide(1, spread, out=np.zeros_like(spread), where=spread > 1e-6)
        return correlation_pairs((y - centre) * scale, (x - centre) * scale)


@METRICS.register("motion-energy")
class MotionEnergy(_MotionMetric):
    """Correlation of motion energies with the true clip's."""

    def score(self, true: Clips, predicted: Clips, *, pairs: bool) -> dict[str, Scores]:
        matrix = self.energy_similarity(true, predicted)
        return {"motion-energy": of_matrix(matrix, pairs)}

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            "Motion energy",
            shows="Which patterns move where, how fast and in which direction: the correlation "
            "over the channels of a pyramid of moving Gabor filters (luma at 32 pixels a side, "
            "three scales, eight directions, two speeds and a static channel, 4 x 4 places), as "
            "log energy standardised over the true clips.",
            hides="What is seen, and colour. Static channels count too: the right layout without "
            "any motion earns part of the score. Values depend a little on the set of true clips.",
        )


@METRICS.register("identification@motion")
class MotionIdentification(_MotionMetric):
    """Pairwise identification by motion energy."""

    def score(self, true: Clips, predicted: Clips, *, pairs: bool) -> dict[str, Scores]:
        similarity = self.energy_similarity(true, predicted)
        return {"identification@motion": identified(similarity, pairs)}

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            "Identification by motion energy",
            shows="How often a reconstruction's motion energy is more like that of the clip that "
            "was shown than that of another test clip. A constant scores 0.5.",
            hides="What is seen, and colour. A static layout tells clips apart as well.",
            short="motion identification",
        )


@METRICS.register("nway-identification@motion")
class NWayMotionIdentification(_MotionMetric, NWayIdentification):
    """Identification among n clips by motion energy, in closed form."""

    space, words = "motion", "motion energy"
    blind = "A static layout tells clips apart as well."

    def similarity(self, true: Clips, predicted: Clips) -> NDArray[np.float64]:
        return self.energy_similarity(true, predicted)


@METRICS.register("flow-agreement")
class FlowAgreement(_MotionMetric):
    """Agreement of optical flow fields in direction and length."""

    def score(self, true: Clips, predicted: Clips, *, pairs: bool) -> dict[str, Scores]:
        x, y = (
            clips.derived("flow", self.brightness(clips), motion.optical_flow)
            for clips in (true, predicted)
        )
        matrix = motion.agreement_pairs(y, x, STILL_FLOW**2)
        return {"flow-agreement": of_matrix(matrix, pairs)}

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            "Agreement of optical flow",
            shows="Whether things move the same way in the same places: 2 <a, b> / (<a, a> + "
            "<b, b>) of the two flow fields a and b (scikit-image's iterative Lucas-Kanade, luma "
            "at 32 pixels a side). 1 for equal motion, 0 for none where there should be some, "
            "negative for the opposite.",
            hides="What moves. Two clips that both stand still agree. Flow of clips with cuts or "
            "without texture is noise.",
            short="flow agreement",
        )


@METRICS.register("temporal-consistency@relative")
class TemporalConsistency(_MotionMetric):
    """How alike reconstruction and true clip are in how much they change from frame to frame."""

    def score(self, true: Clips, predicted: Clips, *, pairs: bool) -> dict[str, Scores]:
        x, y = (motion.change(self.brightness(clips)) for clips in (true, predicted))
        matrix = motion.relative(y, x, STILL)
        return {
            "temporal-consistency@relative": Scores(
                np.diagonal(matrix).copy(),
                matrix if pairs else None,
                facts={"change_true": float(x.mean()), "change_predicted": float(y.mean())},
            )
        }

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            "Temporal consistency, relative",
            shows="Whether the reconstruction changes from frame to frame as much as the true clip "
            "does: the smaller of the two changes over the larger (root mean square difference of "
            "luma between neighbouring frames). A still image scores near 0 where something moved, "
            "and so does flicker.",
            hides="What changes and whether it is the right thing: any motion of the right amount "
            "will do.",
            short="relative consistency",
        )


@METRICS.register("epe")
class EndPointError(Metric):
    """Mean end-point error of Farneback's optical flow, as published."""

    def score(self, true: Clips, predicted: Clips, *, pairs: bool) -> dict[str, Scores]:
        n, pixels = len(true), _flow_pixels(true)
        count = min(n, max(3, _FLOW_PIXELS // (2 * pixels)))
        chosen = self._chosen(true, count)
        size = count if count * count * pixels <= 40 * _FLOW_PIXELS else min(4, count)
        x = [*threaded(lambda k: true.remembered(_FLOW, k, lambda: _flow(true, k)), [*chosen])]
        y = [*threaded(lambda k: _flow(predicted, k), [*chosen])]
        facts = {} if count == n else {"scored_clips": count}
        rows = None if count == n else chosen
        if not pairs:
            own = np.array([_end_point_error(a, b) for a, b in zip(x, y, strict=True)])
            return {"epe": Scores(own, facts=facts, lower=True, rows=rows)}
        layout = block_sample(count, size, self.seed)
        parts = [_end_point_errors(x, y, part) for same in layout for part in same]
        scores = assembled(parts, layout, count, lower=True)
        return {"epe": replace(scores, facts={**scores.facts, **facts}, rows=rows)}

    def _chosen(self, true: Clips, count: int) -> NDArray[np.int64]:
        """Draw clips; baselines of a subset take those whose true flow is at hand."""
        known = [k for k in range(len(true)) if true.remembers(_FLOW, k)]
        if len(known) >= count:
            return np.asarray(known[:count])
        return random_rows(len(true), count, self.seed)

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            "End-point error",
            shows="How far the optical flow of the reconstruction ends from that of the true clip, "
            "in pixels, over all pixels and neighbouring frames: Farneback's flow with OpenCV's "
            "parameters in Mind-Animator's code, equal to it to single precision. Less is better. "
            "Large sets are scored on clips drawn at random, as many as said.",
            hides="How much there was to move: a still image has the mean speed of the true clips "
            "as its error, which is hard to beat. Values grow with the size of the frames; "
            "published ones are of 512 pixels.",
            unit="px",
            short="EPE",
            better="lower",
        )


def _flow_pixels(clips: Clips) -> int:
    frames, height, width = clips.frames.shape[1:4]
    return max(1, frames - 1) * height * width


def _flow(clips: Clips, row: int) -> NDArray[np.float32]:
    return farneback(opencv_gray(clips.frames[int(row)]))


def _end_point_errors(
    true: Sequence[NDArray[Any]], predicted: Sequence[NDArray[Any]], rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the errors of every prediction among some rows with every clip of them."""

    def against_all(i: int) -> list[float]:
        return [_end_point_error(true[j], predicted[i]) for j in rows]

    return np.array([*threaded(against_all, [*rows])])


def _end_point_error(first: NDArray[Any], second: NDArray[Any]) -> float:
    if first.size == 0:
        return 0.0
    difference = first - second
    return float(
        np.sqrt(np.einsum("...c,...c->...", difference, difference)).mean(dtype=np.float64)
    )
