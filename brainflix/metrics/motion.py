"""Metrics of motion: energy of moving patterns, optical flow, change over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainflix.clips.clips import Clips, Feature, random_rows, shrink
from brainflix.clips.store import threaded
from brainflix.metrics.base import METRICS, Metric, Note, NWayIdentification
from brainflix.metrics.colour import luma
from brainflix.metrics.farneback import farneback, opencv_gray
from brainflix.metrics.identification import correlation_pairs, identified
from brainflix.metrics.pairwise import assembled
from brainflix.statistics.chance import Scores, block_sample, of_matrix

STILL = 0.25  # grey levels of change between frames that count as none


SIDE = 32  # pixels a side that motion is measured at


STILL_FLOW = 0.05 / SIDE  # of the longer side: flow that counts as none


_FLOW = "farneback"


_FLOW_PIXELS = 30_000_000  # pixels of flow up to which all clips' end-point errors are computed


Floats = NDArray[np.float64]


Singles = NDArray[np.float32]


CYCLES = (2.0, 4.0, 8.0)  # a frame's side


DIRECTIONS = 8


TEMPORAL = (0.0, 0.125, 0.25)  # cycles a frame; 0 is the static channel, of 4 orientations


GRID = 4  # places a side that energy is pooled over


FLOOR = 1e-2  # squared grey levels: energy that counts as none


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


def brightness(frames: NDArray[Any]) -> Singles:
    """Return luma in grey levels, averaged to at most SIDE pixels, (clip, frame, h, w)."""
    return luma(shrink(frames, SIDE)).astype(np.float32)


def motion_energy(clips: Singles) -> Singles:
    """Return the logarithm of energy by place, direction, spatial and temporal frequency.

    Filters are Gabor functions of one octave in space and of both axes' Gaussian width, set up in
    the frequency domain; a filter that passes one half of the spectrum is a quadrature pair, whose
    squared magnitude is energy (Adelson and Bergen 1985; Nishimoto et al. 2011,
    doi 10.1016/j.cub.2011.08.031). Coarse filters are computed on coarse grids.

    Parameters
    ----------
    clips : ndarray of float32, shape (clip, frame, height, width)

    Returns
    -------
    ndarray of float32, shape (clip, channel)
        Channels of temporal frequency 0 come first within each spatial frequency.
    """
    frames, height, width = clips.shape[1:]
    from scipy.fft import fftn

    found = []
    window = _window(frames, height, width)
    for clip in clips:
        faded = (clip - clip.mean()) * window
        spectrum = fftn(faded.astype(np.complex64), s=(2 * frames, height, width))
        found.append(np.concatenate([_energies(spectrum, *bank) for bank in _banks(*clip.shape)]))
    return np.log(np.asarray(found) + FLOOR).astype(np.float32)


@lru_cache(maxsize=4)
def _window(frames: int, height: int, width: int) -> Floats:
    """Return what fades a clip out at the edges of its frames, so that edges make no energy."""
    from scipy.signal.windows import tukey

    return np.asarray(tukey(height, 0.25)[None, :, None] * tukey(width, 0.25)[None, None, :])


def _energies(
    spectrum: NDArray[Any], filters: NDArray[Any], kept: tuple[NDArray[Any], ...], frames: int
) -> Floats:
    """Return pooled energies of filters on the part of the spectrum that they pass, flat."""
    from scipy.fft import ifftn

    part = spectrum[np.ix_(np.arange(len(spectrum)), *kept)]
    scale = part.size / spectrum.size
    responses = ifftn(part * filters, axes=(1, 2, 3))[:, :frames]
    energy = (np.abs(responses) * scale) ** 2
    height, width = energy.shape[2:]
    rows, columns = (np.linspace(0, n, GRID + 1).astype(int)[:-1] for n in (height, width))
    pooled = np.add.reduceat(np.add.reduceat(energy.mean(axis=1), rows, axis=1), columns, axis=2)
    return np.asarray(pooled.reshape(len(filters), -1) * (GRID**2 / (height * width))).ravel()


@lru_cache(maxsize=4)
def _banks(
    frames: int, height: int, width: int
) -> tuple[tuple[NDArray[Any], tuple[NDArray[Any], ...], int], ...]:
    """Return a bank of filters a spatial frequency: (filter, time, h, w), columns kept, frames."""
    banks = []
    for cycles in CYCLES:
        axes = [_lowest(n, 4 * cycles) for n in (height, width)]
        fy, fx = np.meshgrid(
            *[np.fft.fftfreq(n, 1 / n)[k] for n, k in zip((height, width), axes, strict=True)],
            indexing="ij",
        )
        ft = np.fft.fftfreq(2 * frames)[:, None, None]
        filters = []
        for temporal in TEMPORAL if frames > 1 else TEMPORAL[:1]:
            count = DIRECTIONS if temporal else DIRECTIONS // 2
            for angle in np.arange(count) * (2 * np.pi / DIRECTIONS):
                y, x = cycles * np.sin(angle), cycles * np.cos(angle)
                place = ((fy - y) ** 2 + (fx - x) ** 2) / (2 * (cycles / 2.5) ** 2)
                # a pattern that moves along +x has temporal frequency -speed at positive fx
                time = (ft + temporal) ** 2 / (2 * 0.06**2)
                filters.append(np.exp(-place - time) * (fx * x + fy * y > 0))
        banks.append((np.stack(filters).astype(np.float32), tuple(axes), frames))
    return tuple(banks)


def _lowest(n: int, count: float) -> NDArray[np.int64]:
    """Return where the spectrum of n samples holds its lowest frequencies, about ``count``."""
    half = min(n, int(count)) // 2
    return (
        np.concatenate([np.arange(half), np.arange(n - half, n)]) if 2 * half < n else np.arange(n)
    )


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
    found = np.zeros((count, max(frames - 1, 0), 2, height, width), dtype=np.float32)
    side = max(height, width)
    for place in np.ndindex(count, max(frames - 1, 0)):
        first, second = clips[place[0], place[1]], clips[place[0], place[1] + 1]
        if np.array_equal(first, second) or np.ptp(first) < 1 or np.ptp(second) < 1:
            continue
        flow = optical_flow_ilk(first / 255, second / 255, radius=4, num_warp=4)
        found[place] = np.clip(flow / side, -0.25, 0.25)
    return found


def change(clips: Singles) -> Floats:
    """Return how much each clip changes from frame to frame, (clip,), in grey levels.

    The root of the mean squared difference between neighbouring frames; 0 for a single frame.
    """
    if clips.shape[1] < 2:
        return np.zeros(len(clips))
    return np.sqrt(np.square(np.diff(clips.astype(np.float64), axis=1)).mean(axis=(1, 2, 3)))


def relative(predicted: Floats, true: Floats, floor: float) -> Floats:
    """Return how alike two amounts are, min / max, for every pair, (prediction, true clip).

    ``floor`` is added to both, so that two clips that hardly change are alike.
    """
    first, second = predicted[:, None] + floor, true[None, :] + floor
    return np.asarray(np.minimum(first, second) / np.maximum(first, second))


def agreement_pairs(predicted: Singles, true: Singles, floor: float) -> Floats:
    """Return 2 <a, b> / (<a, a> + <b, b>) of every pair of vector fields, (prediction, clip).

    1 for equal fields, 0 where one of them is nothing, -1 for opposite ones; falls off where one is
    longer than the other. ``floor`` is added above and below, as mean squared length.
    """
    x, y = predicted.reshape(len(predicted), -1), true.reshape(len(true), -1)
    vectors = max(1, x.shape[1] // 2)
    size_x = np.einsum("np,np->n", x, x, dtype=np.float64)[:, None]
    size_y = np.einsum("np,np->n", y, y, dtype=np.float64)[None, :]
    extra = floor * vectors
    return np.asarray((2 * (x @ y.T).astype(np.float64) + extra) / (size_x + size_y + extra))


class _MotionMetric(Metric):
    def features(self) -> Mapping[str, Feature]:
        return {"brightness": brightness}

    def brightness(self, clips: Clips) -> NDArray[np.float32]:
        return clips.feature("brightness", brightness)

    def energy_similarity(self, true: Clips, predicted: Clips) -> NDArray[np.float64]:
        """Return r over channels of log energies, (prediction, clip), a channel standardised.

        Mean and deviation of a channel are those over the true clips: what all clips have in common
        correlates with nothing then.
        """
        x, y = (
            clips.derived("energy", self.brightness(clips), motion_energy).astype(np.float64)
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


@METRICS.register("temporal-consistency@relative")
class TemporalConsistency(_MotionMetric):
    """How alike reconstruction and true clip are in how much they change from frame to frame."""

    def score(self, true: Clips, predicted: Clips, *, pairs: bool) -> dict[str, Scores]:
        x, y = (change(self.brightness(clips)) for clips in (true, predicted))
        matrix = relative(y, x, STILL)
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
