"""Motion of clips: energy in a pyramid of moving Gabor filters, optical flow, change over time."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainflix.evaluation.clips import shrink
from brainflix.evaluation.colour import luma

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
SIDE = 32  # pixels a side that motion is measured at
CYCLES = (2.0, 4.0, 8.0)  # a frame's side
DIRECTIONS = 8
TEMPORAL = (0.0, 0.125, 0.25)  # cycles a frame; 0 is the static channel, of 4 orientations
GRID = 4  # places a side that energy is pooled over
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
