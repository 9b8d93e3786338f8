"""Optical flow: agreement of two flow fields, and the published end-point error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainflix.clips.clips import VideoClips, random_rows
from brainflix.clips.store import threaded
from brainflix.metrics.base import Metric, Note
from brainflix.metrics.motion_energy import SIDE, BrightnessMetric
from brainflix.metrics.opencv import require_opencv
from brainflix.metrics.pairwise import assembled
from brainflix.statistics.chance import Scores, block_sample, of_matrix

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
STILL_FLOW = 0.05 / SIDE  # of the longer side: flow that counts as none
_FARNEBACK = {  # the arguments of Mind-Animator's call
    "pyr_scale": 0.5,
    "levels": 3,
    "winsize": 15,
    "iterations": 3,
    "poly_n": 5,
    "poly_sigma": 1.2,
    "flags": 0,
}
_FLOW_PIXELS = 30_000_000  # pixels of flow up to which all clips' end-point errors are computed


def optical_flow(clips: Singles) -> Singles:
    """Return the flow between neighbouring frames, by scikit-image's iterative Lucas-Kanade.

    Parameters
    ----------
    clips : ndarray of float32, shape (clip, frame, height, width)
        In grey levels.

    Returns
    -------
    ndarray of float32, shape (clip, frame - 1, 2, height, width)
        Displacement along height and width as a fraction of the longer side, at most a quarter.
    """
    from skimage.registration import optical_flow_ilk

    count, frames, height, width = clips.shape
    fields = np.zeros((count, max(frames - 1, 0), 2, height, width), dtype=np.float32)
    side = max(height, width)
    for place in np.ndindex(count, max(frames - 1, 0)):
        first, second = clips[place[0], place[1]], clips[place[0], place[1] + 1]
        # equal or flat frames have no flow to find; the solver would return noise
        if np.array_equal(first, second) or np.ptp(first) < 1 or np.ptp(second) < 1:
            continue
        flow = optical_flow_ilk(first / 255, second / 255, radius=4, num_warp=4)
        fields[place] = np.clip(flow / side, -0.25, 0.25)
    return fields


def agreement_pairs(predicted: Singles, true: Singles, floor: float) -> Floats:
    """Return 2 <a, b> / (<a, a> + <b, b>) of every pair of vector fields, (prediction, clip).

    1 for equal fields, 0 where one of them is zero, -1 for opposite ones; lower where one is longer
    than the other. ``floor`` is added above and below, as mean squared length.
    """
    # (clip, frame, 2, height, width) -> (clip, component)
    x, y = predicted.reshape(len(predicted), -1), true.reshape(len(true), -1)
    vectors = max(1, x.shape[1] // 2)
    size_x = np.einsum("np,np->n", x, x, dtype=np.float64)[:, None]
    size_y = np.einsum("np,np->n", y, y, dtype=np.float64)[None, :]
    extra = floor * vectors
    return np.asarray((2 * (x @ y.T).astype(np.float64) + extra) / (size_x + size_y + extra))


class FlowAgreement(BrightnessMetric):
    """Agreement of optical flow fields in direction and length."""

    def score(self, true: VideoClips, predicted: VideoClips, *, pairs: bool) -> dict[str, Scores]:
        x, y = (
            clips.derived("flow", self.brightness(clips), optical_flow)
            for clips in (true, predicted)
        )
        matrix = agreement_pairs(y, x, STILL_FLOW**2)
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


def farneback_flow(frames: NDArray[Any]) -> Singles:
    """Return OpenCV's flow between neighbouring frames of one clip, with the published arguments.

    The channels are taken as B, G, R, as in the published code. Method: Farneback 2003
    (doi 10.1007/3-540-45103-X_50).

    Parameters
    ----------
    frames : ndarray of uint8, shape (frame, height, width, 3)

    Returns
    -------
    ndarray of float32, shape (frame - 1, height, width, 2)
        Displacement in pixels along the width and the height.
    """
    cv2 = require_opencv()
    gray = [cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_BGR2GRAY) for frame in frames]
    flow = np.zeros((len(gray) - 1, *frames.shape[1:3], 2), np.float32)
    for k in range(len(flow)):
        flow[k] = cv2.calcOpticalFlowFarneback(gray[k], gray[k + 1], flow=None, **_FARNEBACK)
    return flow


def _end_point_error(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Return the mean length of the difference of two fields (frame, height, width, 2)."""
    if first.size == 0:
        return 0.0
    difference = first - second
    return float(
        np.sqrt(np.einsum("...c,...c->...", difference, difference)).mean(dtype=np.float64)
    )


def _end_point_errors(
    true: Sequence[NDArray[Any]], predicted: Sequence[NDArray[Any]], rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return errors among some rows, (prediction, clip)."""

    def against_all(i: int) -> list[float]:
        return [_end_point_error(true[j], predicted[i]) for j in rows]

    return np.array([*threaded(against_all, [*rows])])


class EndPointError(Metric):
    """Mean end-point error of Farneback's optical flow, as published."""

    def score(self, true: VideoClips, predicted: VideoClips, *, pairs: bool) -> dict[str, Scores]:
        frames, height, width = true.frames.shape[1:4]
        n, pixels = len(true), max(1, frames - 1) * height * width
        # as many clips as fit the budget for computing flow, all or some drawn at random
        count = min(n, max(3, _FLOW_PIXELS // (2 * pixels)))
        chosen = self._scored_clips(true, count)
        # and all pairs of them, or pairs within blocks of four, by the budget for comparing it
        size = count if count * count * pixels <= 40 * _FLOW_PIXELS else min(4, count)

        def true_flow(k: int) -> Singles:  # remembered for the baselines of the same clips
            return true.remembered("farneback", k, lambda: farneback_flow(true.frames[int(k)]))

        x = [*threaded(true_flow, [*chosen])]
        y = [*threaded(lambda k: farneback_flow(predicted.frames[int(k)]), [*chosen])]
        facts = {} if count == n else {"scored_clips": count}
        rows = None if count == n else chosen
        if not pairs:
            own = np.array([_end_point_error(a, b) for a, b in zip(x, y, strict=True)])
            return {"epe": Scores(own, facts=facts, lower=True, rows=rows)}
        layout = block_sample(count, size, self.seed)
        parts = [_end_point_errors(x, y, part) for same in layout for part in same]
        scores = assembled(parts, layout, count, lower=True)
        return {"epe": replace(scores, facts={**scores.facts, **facts}, rows=rows)}

    def _scored_clips(self, true: VideoClips, count: int) -> NDArray[np.int64]:
        """Draw clips; baselines of a subset take those whose true flow is already known."""
        known = [k for k in range(len(true)) if true.remembers("farneback", k)]
        if len(known) >= count:
            return np.asarray(known[:count])
        return random_rows(len(true), count, self.seed)

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            "End-point error",
            shows="How far the optical flow of the reconstruction ends from that of the true clip, "
            "in pixels, over all pixels and neighbouring frames: Farneback's flow by OpenCV, "
            "with the arguments of Mind-Animator's code. Less is better. Large sets are scored on "
            "clips drawn at random, as many as the table says.",
            hides="How much there was to move: a still image has the mean speed of the true clips "
            "as its error, which is hard to beat. Values grow with the size of the frames; "
            "published ones are of 512 pixels.",
            unit="px",
            short="EPE",
            better="lower",
        )
