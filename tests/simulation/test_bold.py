"""The haemodynamic response, the noise and the scanner, against closed forms."""

import numpy as np
import pytest
from scipy import stats
from scipy.signal import welch

from brainflix.errors import DataError
from brainflix.simulation import bold


def reference_response(time, peak):
    """The double-gamma response from scipy.stats, an implementation of its own."""
    main = stats.gamma(a=1 + peak / bold.WIDTH, scale=bold.WIDTH).pdf(time)
    later = peak + bold.UNDERSHOOT_DELAY
    scale = bold.UNDERSHOOT_WIDTH
    return main - bold.UNDERSHOOT * stats.gamma(a=1 + later / scale, scale=scale).pdf(time)


@pytest.mark.parametrize("peak", [3.5, 5.0, 6.5])
def test_the_integral_is_that_of_the_double_gamma(peak):
    fine = np.arange(0, 40, 0.001)
    expected = np.cumsum(reference_response(fine, peak)) * 0.001
    assert np.allclose(bold.response_integral(fine, peak), expected, atol=1e-3)
    assert fine[np.argmax(reference_response(fine, peak))] == pytest.approx(peak, abs=0.01)
    assert bold.response_integral(np.array([60.0]), peak)[0] == pytest.approx(5 / 6, abs=1e-6)


def test_the_response_to_a_clip_starts_at_zero_peaks_at_one_and_undershoots():
    time = np.arange(-5, 40, 0.01)
    response = bold.clip_response(time, 2.0, 5.0)
    assert np.all(response[time < 0] == 0)
    assert response.max() == pytest.approx(1, abs=1e-3)
    assert time[np.argmax(response)] == pytest.approx(6.0, abs=0.1)  # half a clip later
    assert -0.4 < response.min() < -0.05
    assert abs(response[-1]) < 1e-3


def test_evoked_signal_is_the_convolution_of_the_drive():
    rng = np.random.default_rng(0)
    peak, onsets, TR, step = np.array([4.2, 5.0, 5.7]), [4.0, 6.0, 9.5], 1.75, 0.01
    drive = rng.standard_normal((3, 3))
    signal = bold.evoked_signal(drive, onsets, 2.0, 20, TR, peak)
    fine = np.arange(0, 40, step)
    for voxel in range(3):
        course = np.zeros_like(fine)
        for onset, value in zip(onsets, drive[:, voxel], strict=True):
            course[(fine >= onset) & (fine < onset + 2)] = value
        kernel = reference_response(fine, peak[voxel])
        single = np.convolve((fine < 2).astype(float), kernel)[: len(fine)]
        expected = np.convolve(course, kernel)[: len(fine)] / single.max()
        sampled = np.interp(np.arange(20) * TR, fine, expected)
        assert np.allclose(signal[:, voxel], sampled, atol=0.01)


def test_noise_is_stationary_and_has_its_coefficient():
    coefficient = np.repeat([0.1, 0.4, 0.7], 400)
    noise = bold.autoregressive_noise(300, coefficient, np.random.default_rng(1))
    for value in (0.1, 0.4, 0.7):
        part = noise[:, coefficient == value]
        assert np.mean(part[1:] * part[:-1]) == pytest.approx(value, abs=0.02)
        assert np.mean(part[2:] * part[:-2]) == pytest.approx(value**2, abs=0.02)
        assert part[0].var() == pytest.approx(1, abs=0.25)
        assert part.var() == pytest.approx(1, abs=0.03)


def test_shared_noise_has_the_covariance_of_its_networks():
    networks = np.array([[0.6, 0.6, -0.6, 0.0], [0.0, 0.5, 0.0, 0.0]])
    rng = np.random.default_rng(2)
    noise = bold.correlated_noise(40_000, np.full(4, 0.3), networks, rng)
    expected = networks.T @ networks
    np.fill_diagonal(expected, 1.0)
    assert np.allclose(np.cov(noise.T), expected, atol=0.04)


def test_drift_is_slow_and_of_unit_variance():
    drift = bold.slow_drift(200, 2000, np.random.default_rng(3))
    assert drift.var(axis=0).mean() == pytest.approx(1, abs=0.1)
    steps = np.diff(drift, axis=0).var(axis=0) / (2 * drift.var(axis=0))
    assert np.median(steps) < 1e-3  # one less the correlation of neighbouring volumes
    assert not np.allclose(drift[:, 0], drift[:, 1], atol=0.1)


def test_physiology_is_standardised_and_differs_between_runs():
    rng = np.random.default_rng(4)
    first, second = (bold.physiology(400, 2.0, rng) for _ in range(2))
    assert first.mean() == pytest.approx(0, abs=1e-9)
    assert first.std() == pytest.approx(1, abs=1e-9)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.5
    frequency, power = welch(first, fs=0.5, nperseg=128)
    assert power[frequency < 0.1].sum() > 0.3 * power.sum()


def make_physics(voxels, **changes):
    arrays = {
        "amplitude": np.full(voxels, 0.5),
        "peak": np.full(voxels, 5.0),
        "baseline": np.full(voxels, 1000.0),
        "noise": np.ones(voxels),
        "coefficient": np.full(voxels, 0.4),
        "loading": np.ones(voxels),
        "networks": np.zeros((2, voxels)),
    }
    return bold.VoxelPhysics(**(arrays | changes))


def test_percent_signal_change_on_the_scanners_scale():
    evoked = np.zeros((100, 50))
    evoked[40:60] = 1.0
    physics = make_physics(50, amplitude=np.linspace(0, 4, 50))
    shifts, levels = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        signal, course = bold.run_signal(evoked, physics, 2.0, 1e-9, rng)
        flat = signal - np.median(signal[:, :1], axis=0)
        shifts.append((flat[40:60].mean(axis=0) - flat[:40].mean(axis=0)) / 10)
        levels.append(signal[:, 0].mean())
        assert course.shape == (100,)
    slope = np.polyfit(physics.amplitude, np.mean(shifts, axis=0), 1)[0]
    assert slope == pytest.approx(1, abs=0.15)  # a percent of 1000 is 10
    assert np.mean(levels) == pytest.approx(1000, rel=0.03)
    assert 0.01 < np.std(np.log(levels)) < 0.06  # the scanner's gain changes


def test_noise_scale_and_global_component():
    physics = make_physics(400, amplitude=np.zeros(400))
    quiet, loud = (
        bold.run_signal(np.zeros((120, 400)), physics, 2.0, noise, np.random.default_rng(5))[0]
        for noise in (1.0, 3.0)
    )
    fast = [np.diff(signal, axis=0).std() for signal in (quiet, loud)]
    assert fast[1] / fast[0] == pytest.approx(3, rel=0.05)
    pairs = np.corrcoef(np.diff(quiet, axis=0).T)
    assert pairs[np.triu_indices(400, 1)].mean() > 0.01


def test_parameters_of_unequal_length_are_refused():
    with pytest.raises(DataError, match="unequal length"):
        make_physics(5, peak=np.full(4, 5.0))
