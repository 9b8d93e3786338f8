"""From neural drive to a BOLD signal: haemodynamic response, noise, drift and gain.

Everything is in percent of a voxel's baseline until :func:`run_signal` puts it on the scanner's
scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.special import gammainc

from brainflix.errors import DataError

Array = NDArray[np.float64]

WIDTH = 0.6  # s, scale of the response's gamma density: 4.2 s wide at half its maximum
UNDERSHOOT_DELAY, UNDERSHOOT_WIDTH, UNDERSHOOT = 10.0, 1.0, 1 / 6  # s after the peak, s, share

DRIFT = 0.8  # standard deviations over a run, in percent of baseline
PHYSIOLOGY = 0.35
RUN_GAIN = 0.08  # of the logarithm of the response's size, per run
SCANNER_GAIN = 0.03  # of the logarithm of the baseline, per run


def response_integral(time: Array, peak: float) -> Array:
    """Return the integral up to ``time`` of the double-gamma haemodynamic response.

    The response is a gamma density with its mode at ``peak`` less a sixth of a later one, the
    form of Glover (1999); its integral is a difference of incomplete gamma functions.

    Parameters
    ----------
    time : ndarray
        Seconds after the onset; the integral is zero before it.
    peak : float
        Time of the response's maximum, in s.
    """
    seconds = np.maximum(time, 0.0)
    # A gamma density of shape k and scale w has its mode at (k - 1) w and the regularised
    # incomplete gamma function as its integral.
    main = gammainc(1 + peak / WIDTH, seconds / WIDTH)
    later = peak + UNDERSHOOT_DELAY
    under = gammainc(1 + later / UNDERSHOOT_WIDTH, seconds / UNDERSHOOT_WIDTH)
    return main - UNDERSHOOT * under


def clip_response(time: Array, duration: float, peak: float) -> Array:
    """Return the BOLD response to a clip of ``duration`` s at ``time`` s after its onset.

    The response is that to a drive of 1 that lasts for the clip, scaled to a maximum of 1.
    """
    grid = np.arange(0.0, peak + duration + 10.0, 0.05)
    # The response to the whole clip is the integral over the clip's duration; its maximum over a
    # fine grid scales it.
    scale = np.max(response_integral(grid, peak) - response_integral(grid - duration, peak))
    return (response_integral(time, peak) - response_integral(time - duration, peak)) / scale


def autoregressive_noise(volumes: int, coefficient: Array, rng: np.random.Generator) -> Array:
    """Draw stationary AR(1) noise of unit variance, shape (volume, voxel).

    Parameters
    ----------
    volumes : int
        Length.
    coefficient : ndarray, shape (voxel,)
        Correlation of neighbouring volumes, each in -1 to 1.
    rng : numpy.random.Generator
        Source of randomness.
    """
    noise = rng.standard_normal((volumes, coefficient.size))
    # The first volume is drawn from the stationary distribution; innovations are scaled so that
    # the variance stays 1 under x[t] = a x[t - 1] + innovation.
    noise[1:] *= np.sqrt(1 - coefficient**2)
    for volume in range(1, volumes):
        noise[volume] += coefficient * noise[volume - 1]
    return noise


def correlated_noise(
    volumes: int, coefficient: Array, networks: Array, rng: np.random.Generator
) -> Array:
    """Draw AR(1) noise of unit variance that is partly shared between voxels, (volume, voxel).

    Parameters
    ----------
    volumes : int
        Length.
    coefficient : ndarray, shape (voxel,)
        AR(1) coefficient of each voxel's own part; the shared part has their median.
    networks : ndarray, shape (network, voxel)
        Weights of the shared courses, whose squares sum to at most 1 in each voxel.
    rng : numpy.random.Generator
        Source of randomness.
    """
    # A voxel's own part has the variance that its shared courses leave of 1.
    own = np.sqrt(np.maximum(1 - (networks**2).sum(axis=0), 0))
    common = np.full(len(networks), np.median(coefficient))
    shared = autoregressive_noise(volumes, common, rng) @ networks
    return own * autoregressive_noise(volumes, coefficient, rng) + shared


def slow_drift(volumes: int, voxels: int, rng: np.random.Generator) -> Array:
    """Draw drifts of unit variance on average: a slope and slow cosines, (volume, voxel)."""
    phase = (np.arange(volumes) + 0.5) / volumes
    # Cosines of 0.7, 1.3 and 2.2 half cycles per run, the slower ones the larger, scaled so that
    # their variances sum to 1: (volume, curve).
    curves = np.stack([np.cos(np.pi * phase * cycles) for cycles in (0.7, 1.3, 2.2)], axis=1)
    shape = curves / np.arange(1, 4)
    shape = (shape - shape.mean(axis=0)) / np.sqrt(shape.var(axis=0).sum())
    # (volume, curve) @ (curve, voxel)
    return shape @ rng.standard_normal((3, voxels))


def physiology(volumes: int, repetition_time: float, rng: np.random.Generator) -> Array:
    """Draw the course that the whole brain shares, of unit variance, shape (volume,).

    Breathing depth and heart rate move the signal slowly; breath and pulse themselves are faster
    than the volumes and appear at aliased frequencies, which wander.
    """
    time = np.arange(volumes) * repetition_time
    # Slow fluctuations: a damped second-order autoregression without its first 50 volumes.
    breathing = lfilter([1.0], [1.0, -1.6, 0.7], rng.standard_normal(volumes + 50))[50:]
    course = breathing / max(float(np.std(breathing)), 1e-9)
    # Breath (0.28 Hz) and pulse (1.05 Hz), sampled once per volume and so aliased; their phase is a
    # random walk.
    for frequency in (0.28, 1.05):
        wander = np.cumsum(rng.normal(0.0, 0.3, volumes))
        cycle = 2 * np.pi * frequency * rng.uniform(0.9, 1.1) * time
        course = course + 0.7 * np.sin(cycle + wander + rng.uniform(0, 2 * np.pi))
    return (course - course.mean()) / max(float(np.std(course)), 1e-9)


@dataclass(frozen=True)
class VoxelPhysics:
    """How each voxel turns drive into signal, and its noise; arrays are of shape (voxel,).

    Attributes
    ----------
    amplitude : ndarray
        Size of the response to a drive of one standard deviation, in percent; 0 where no clip
        drives the voxel.
    peak : ndarray
        Time of the haemodynamic response's maximum, in s, in steps of 0.1 s.
    baseline : ndarray
        Mean signal, in scanner units.
    noise : ndarray
        Standard deviation of the AR(1) noise, in percent.
    coefficient : ndarray
        AR(1) coefficient.
    loading : ndarray
        Weight of the physiological course, relative to the brain's mean.
    networks : ndarray, shape (network, voxel)
        Weights of spontaneous fluctuations that neighbouring voxels share; the squares of a voxel
        sum to the share of its AR(1) noise that is not its own.
    """

    amplitude: Array
    peak: Array
    baseline: Array
    noise: Array
    coefficient: Array
    loading: Array
    networks: Array

    def __post_init__(self) -> None:
        sizes = {name: array.shape[-1:] for name, array in vars(self).items()}
        if len(set(sizes.values())) != 1:
            raise DataError("voxel parameters of unequal length", expected="one", found=sizes)


def evoked_signal(
    drive: Array,
    onsets: Sequence[float],
    duration: float,
    volumes: int,
    repetition_time: float,
    peak: Array,
) -> Array:
    """Return the noiseless response to a sequence of clips.

    Parameters
    ----------
    drive : ndarray, shape (presentation, voxel)
        How strongly each clip drives each voxel.
    onsets : sequence of float
        When each clip starts, in s from the first volume.
    duration : float
        Duration of a clip, in s.
    volumes : int
        Length of the run.
    repetition_time : float
        Repetition time, in s.
    peak : ndarray, shape (voxel,)
        Haemodynamic delay of each voxel; voxels of equal delay are computed together.

    Returns
    -------
    ndarray, shape (volume, voxel)
    """
    # Time of each volume since each clip's onset, (volume, presentation).
    since = np.arange(volumes)[:, None] * repetition_time - np.asarray(onsets)[None, :]
    signal = np.zeros((volumes, drive.shape[1]))
    # Voxels of one delay have one set of response curves, which their drives weight and add up:
    # (volume, presentation) @ (presentation, voxel).
    for delay in np.unique(peak):
        voxels = np.flatnonzero(peak == delay)
        signal[:, voxels] = clip_response(since, duration, float(delay)) @ drive[:, voxels]
    return signal


def run_signal(
    evoked: Array,
    physics: VoxelPhysics,
    repetition_time: float,
    noise: float,
    rng: np.random.Generator,
) -> tuple[Array, Array]:
    """Add everything that a scanner sees besides the response.

    Parameters
    ----------
    evoked : ndarray, shape (volume, voxel)
        Response to drives of unit variance.
    physics : VoxelPhysics
        The voxels' properties.
    repetition_time : float
        Repetition time, in s.
    noise : float
        Scales the AR(1) noise and the physiological component.
    rng : numpy.random.Generator
        Source of randomness of this run.

    Returns
    -------
    signal : ndarray, shape (volume, voxel)
        In scanner units.
    course : ndarray, shape (volume,)
        The physiological course, of unit variance.
    """
    volumes, voxels = evoked.shape
    course = physiology(volumes, repetition_time, rng)
    # In percent of the baseline: the response, whose size differs between runs, drift, the course
    # that the brain shares, and noise.
    size = np.exp(rng.normal(0.0, RUN_GAIN))
    percent = size * physics.amplitude * evoked
    percent += DRIFT * slow_drift(volumes, voxels, rng)
    percent += noise * PHYSIOLOGY * course[:, None] * physics.loading
    random = correlated_noise(volumes, physics.coefficient, physics.networks, rng)
    percent += noise * physics.noise * random
    # In scanner units; the baseline differs a little between runs.
    scale = np.exp(rng.normal(0.0, SCANNER_GAIN))
    return scale * physics.baseline * (1.0 + percent / 100.0), course
