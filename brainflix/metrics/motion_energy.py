"""Motion energy: which patterns move where, how fast and in which direction.

pymoten computes motion energy too, with a bank of filters that is applied frame by frame; this one
works in the frequency domain, which suits clips of a few frames and needs no further package.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainflix.clips.clips import Feature, VideoClips, shrink
from brainflix.metrics.base import Metric, Note
from brainflix.metrics.colour import luma
from brainflix.metrics.similarity import correlation_pairs
from brainflix.statistics.chance import Scores, of_matrix

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
SIDE = 32  # pixels of the longer side that motion is measured at
CYCLES = (2.0, 4.0, 8.0)  # spatial frequencies, in cycles per frame side
DIRECTIONS = 8
TEMPORAL = (0.0, 0.125, 0.25)  # cycles per frame; 0 is the static channel, of 4 orientations
GRID = 4  # places per side that energy is pooled over
FLOOR = 1e-2  # squared grey levels: energy that counts as none


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

    energies = []
    window = _window(frames, height, width)
    for clip in clips:
        # faded at the edges, and padded with as many empty frames, so that time does not wrap round
        faded = (clip - clip.mean()) * window
        spectrum = fftn(faded.astype(np.complex64), s=(2 * frames, height, width))
        banks = _banks(*clip.shape)
        energies.append(np.concatenate([_energies(spectrum, *bank) for bank in banks]))
    return np.log(np.asarray(energies) + FLOOR).astype(np.float32)


@lru_cache(maxsize=4)
def _window(frames: int, height: int, width: int) -> Floats:
    """Return the window that fades frames out at their edges, so that these hold no energy."""
    from scipy.signal.windows import tukey

    return np.asarray(tukey(height, 0.25)[None, :, None] * tukey(width, 0.25)[None, None, :])


@lru_cache(maxsize=4)
def _banks(
    frames: int, height: int, width: int
) -> tuple[tuple[NDArray[Any], tuple[NDArray[Any], ...], int], ...]:
    """Return for each spatial frequency: filters (filter, time, h, w), frequencies, frames."""
    banks = []
    for cycles in CYCLES:
        # filters pass nothing above about twice their frequency: only the low part is kept
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
                # a Gaussian about one frequency in space and in time, on one half of the spectrum
                y, x = cycles * np.sin(angle), cycles * np.cos(angle)
                place = ((fy - y) ** 2 + (fx - x) ** 2) / (2 * (cycles / 2.5) ** 2)
                # a pattern that moves along +x has temporal frequency -speed at positive fx
                time = (ft + temporal) ** 2 / (2 * 0.06**2)
                filters.append(np.exp(-place - time) * (fx * x + fy * y > 0))
        banks.append((np.stack(filters).astype(np.float32), tuple(axes), frames))
    return tuple(banks)


def _lowest(n: int, count: float) -> NDArray[np.int64]:
    """Return the indices of about ``count`` lowest frequencies in the spectrum of n samples."""
    half = min(n, int(count)) // 2
    return (
        np.concatenate([np.arange(half), np.arange(n - half, n)]) if 2 * half < n else np.arange(n)
    )


def _energies(
    spectrum: NDArray[Any], filters: NDArray[Any], kept: tuple[NDArray[Any], ...], frames: int
) -> Floats:
    """Return pooled energies of filters on the part of the spectrum that they pass, flat."""
    from scipy.fft import ifftn

    # the low frequencies that the filters pass, as the spectrum of a coarser grid; scaled, since
    # the inverse transform divides by the number of its own samples
    part = spectrum[np.ix_(np.arange(len(spectrum)), *kept)]
    scale = part.size / spectrum.size
    responses = ifftn(part * filters, axes=(1, 2, 3))[:, :frames]
    energy = (np.abs(responses) * scale) ** 2  # (filter, frame, height, width)
    # the mean over frames, and over each of GRID x GRID places up to their differing sizes
    height, width = energy.shape[2:]
    rows, columns = (np.linspace(0, n, GRID + 1).astype(int)[:-1] for n in (height, width))
    pooled = np.add.reduceat(np.add.reduceat(energy.mean(axis=1), rows, axis=1), columns, axis=2)
    return np.asarray(pooled.reshape(len(filters), -1) * (GRID**2 / (height * width))).ravel()


class BrightnessMetric(Metric):
    """A metric of small frames' luma, which is computed of each clip once for all metrics."""

    def features(self) -> Mapping[str, Feature]:
        return {"brightness": brightness}

    def brightness(self, clips: VideoClips) -> Singles:
        """Return luma, (clip, frame, height, width)."""
        return clips.feature("brightness", brightness)


class MotionEnergyMetric(BrightnessMetric):
    """A metric of motion energies."""

    def energy_similarity(self, true: VideoClips, predicted: VideoClips) -> NDArray[np.float64]:
        """Return r over channels of log energies, (prediction, clip), channels standardised.

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


class MotionEnergy(MotionEnergyMetric):
    """Correlation of motion energies with the true clip's."""

    def score(self, true: VideoClips, predicted: VideoClips, *, pairs: bool) -> dict[str, Scores]:
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
