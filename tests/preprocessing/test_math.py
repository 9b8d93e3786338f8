"""Cleaning, timing and reliability against numpy, scipy and closed forms."""

import itertools

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from brainflix.errors import DataError
from brainflix.preprocessing.nuisance import TrialStatistics, clean_rows, nuisance_basis
from brainflix.preprocessing.reliability import (
    OneSampleT,
    fisher_z,
    mean_pair_z,
    noise_ceiling,
    p_threshold,
    pass_voxels,
)
from brainflix.preprocessing.timing import response_windows

RNG = np.random.default_rng(0)


# Cleaning


def test_cleaning_equals_least_squares_on_raw_powers_and_scipy_zscore():
    rows = (RNG.standard_normal((60, 50)) * 30 + 10_000).astype(np.float32)
    confounds = RNG.standard_normal((60, 3))
    time = np.arange(60) / 60
    design = np.column_stack([time**k for k in range(5)] + [confounds])
    wide = rows.astype(np.float64)
    residual = wide - design @ np.linalg.lstsq(design, wide, rcond=None)[0]
    cleaned = clean_rows(rows, nuisance_basis(60, 4, confounds))
    assert cleaned.rows.dtype == np.float32
    np.testing.assert_allclose(cleaned.rows, scipy.stats.zscore(residual), atol=2e-6)
    plain = clean_rows(rows, nuisance_basis(60, 4, confounds), standardize=False)
    np.testing.assert_allclose(plain.rows, residual, atol=1e-4)


def test_cleaning_removes_what_it_says_and_nothing_else():
    time = np.linspace(-1, 1, 200)
    signal = np.sin(40 * time)
    rows = np.column_stack([signal + 5 * time**3 + 100, 7 * time**4 - 2 * time])
    cleaned = clean_rows(rows, nuisance_basis(200, 4))
    assert np.corrcoef(cleaned.rows[:, 0], signal)[0, 1] > 0.99
    assert cleaned.constant.tolist() == [False, True]  # a pure trend leaves nothing


def test_collinear_and_constant_confounds_change_nothing():
    rows = RNG.standard_normal((50, 4))
    one = RNG.standard_normal((50, 1))
    many = np.column_stack([one, 2 * one, np.ones(50), np.zeros(50), np.linspace(-1, 1, 50)])
    expected = clean_rows(rows, nuisance_basis(50, 2, one)).rows
    basis = nuisance_basis(50, 2, many)
    np.testing.assert_allclose(basis.T @ basis, np.eye(basis.shape[1]), atol=1e-10)
    assert basis.shape[1] == 4
    np.testing.assert_allclose(clean_rows(rows, basis).rows, expected, atol=1e-5)


def test_nonfinite_and_constant_voxels_are_told_apart_and_set_to_zero():
    rows = RNG.standard_normal((40, 5)).astype(np.float32) + 1000
    rows[3, 1], rows[9, 2], rows[:, 3] = np.nan, np.inf, 123.456
    cleaned = clean_rows(rows, nuisance_basis(40, 3))
    assert cleaned.nonfinite.tolist() == [False, True, True, False, False]
    assert cleaned.constant.tolist() == [False, False, False, True, False]
    assert not cleaned.rows[:, 1:4].any()
    assert np.isfinite(cleaned.rows).all()
    np.testing.assert_allclose(cleaned.rows[:, [0, 4]].std(axis=0), 1, atol=1e-5)


def test_a_small_signal_on_a_large_mean_is_not_constant():
    rows = np.float32(30_000) + RNG.integers(0, 2, (60, 1)).astype(np.float32)
    assert not clean_rows(rows, nuisance_basis(60, 4)).constant.any()


def test_blocks_of_voxels_do_not_matter(monkeypatch):
    rows = RNG.standard_normal((30, 25)).astype(np.float32)
    basis = nuisance_basis(30, 2)
    whole = clean_rows(rows, basis).rows
    monkeypatch.setattr("brainflix.preprocessing.nuisance.BLOCK", 7)
    np.testing.assert_allclose(clean_rows(rows, basis).rows, whole, atol=1e-6)


def test_a_run_too_short_for_its_regressors_is_refused():
    with pytest.raises(DataError) as caught:
        nuisance_basis(5, 4, where="sub-01, run 1")
    assert "more than 5 volumes" in str(caught.value)
    assert "sub-01, run 1" in str(caught.value)


def test_trial_statistics_equal_those_of_all_training_trials():
    runs = [RNG.standard_normal((n, 6)) * 3 + 1e4 for n in (5, 1, 9)]
    statistics = TrialStatistics(6)
    for run in runs:
        statistics.add(run)
    together = np.concatenate(runs)
    np.testing.assert_allclose(statistics.mean, together.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(statistics.deviation, together.std(axis=0), rtol=1e-9)
    test = RNG.standard_normal((4, 6)) + 1e4
    expected = (test - together.mean(axis=0)) / together.std(axis=0)
    np.testing.assert_allclose(statistics.scale(test).rows, expected, atol=1e-5)


# Timing


@pytest.mark.parametrize(
    ("onset", "delay", "tr", "first"),
    [
        (0.0, 4.0, 2.0, 2),
        (6.0, 4.0, 2.0, 5),
        (0.0, 4.0, 1.75, 2),  # 2.29 volumes: the nearest
        (1.0, 4.0, 2.0, 3),  # half-way: the later
        (0.9, 4.0, 2.0, 2),
        (0.3, 0.6, 0.6, 2),  # half-way in decimals, below it in binary fractions
    ],
)
def test_a_window_starts_at_the_nearest_volume(onset, delay, tr, first):
    windows = response_windows(np.array([onset]), delay, 2, tr, 20)
    assert windows.index.tolist() == [[first, first + 1]]
    assert not windows.clamped.any()


def test_windows_stay_in_their_run_and_repeat_its_last_volume():
    windows = response_windows(np.array([0.0, 10.0, 14.0, 18.0]), 4.0, 2, 2.0, 10)
    assert windows.index.tolist() == [[2, 3], [7, 8], [9, 9], [9, 9]]
    assert windows.clamped.tolist() == [False, False, True, True]


def test_a_response_before_the_run_is_refused():
    with pytest.raises(DataError, match="before the run's first volume"):
        response_windows(np.array([-6.0]), 4.0, 1, 2.0, 10)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(0, 500), min_size=1, max_size=20),
    st.floats(0, 12),
    st.integers(1, 9),
    st.floats(0.3, 4),
    st.integers(1, 300),
)
def test_windows_are_always_volumes_of_the_run(onset, delay, window, tr, n_volumes):
    windows = response_windows(np.array(onset), delay, window, tr, n_volumes)
    assert windows.index.shape == (len(onset), window)
    assert windows.index.min() >= 0
    assert windows.index.max() < n_volumes
    exact = (np.array(onset) + delay) / tr
    inside = ~windows.clamped
    assert (np.abs(windows.index[inside, 0] - exact[inside]) <= 0.5 + 1e-5).all()


# Reliability


def test_mean_pair_z_equals_numpy_a_pair():
    repeats = [RNG.standard_normal((20, 7)) for _ in range(4)]
    expected = np.zeros(7)
    for a, b in itertools.combinations(repeats, 2):
        for voxel in range(7):
            expected[voxel] += np.arctanh(np.corrcoef(a[:, voxel], b[:, voxel])[0, 1]) / 6
    np.testing.assert_allclose(mean_pair_z(repeats), expected, rtol=1e-10)
    first = mean_pair_z(repeats, [(0, 3)])
    np.testing.assert_allclose(
        first,
        [
            np.arctanh(scipy.stats.pearsonr(x, y)[0])
            for x, y in zip(repeats[0].T, repeats[3].T, strict=True)
        ],
    )


def test_a_clip_that_one_repeat_lacks_is_left_out_of_its_pairs():
    a, b = RNG.standard_normal((2, 12, 3))
    lacking = b.copy()
    lacking[[2, 5]] = np.nan
    keep = np.setdiff1d(np.arange(12), [2, 5])
    np.testing.assert_allclose(mean_pair_z([a, lacking]), mean_pair_z([a[keep], b[keep]]))


def test_unvarying_and_identical_responses_give_finite_z():
    a = RNG.standard_normal((10, 3)).astype(np.float32)
    b = a.copy()
    b[:, 0] = 5.0
    z = mean_pair_z([a, b])
    assert z[0] == 0
    assert np.isfinite(z).all()
    assert fisher_z(np.array([1.0]))[0] > 10


@pytest.mark.parametrize("n_samples", [2, 5, 18])
def test_the_t_test_equals_scipy(n_samples):
    samples = RNG.standard_normal((n_samples, 300)) * 0.1 + 0.05
    test = OneSampleT(300)
    for sample in samples:
        test.add(sample)
    expected = scipy.stats.ttest_1samp(samples, 0, alternative="greater")
    np.testing.assert_allclose(test.statistic(), expected.statistic, rtol=1e-9)
    np.testing.assert_allclose(test.p_value(), expected.pvalue, rtol=1e-8)
    assert test.dof == n_samples - 1


def test_the_t_test_needs_two_observations():
    test = OneSampleT(3)
    test.add(np.ones(3))
    with pytest.raises(DataError, match="two observations"):
        test.statistic()


def test_thresholds_equal_scipy_false_discovery_control():
    p = np.concatenate([RNG.random(400), RNG.random(60) * 1e-4])
    adjusted = scipy.stats.false_discovery_control(p, method="bh")
    np.testing.assert_array_equal(pass_voxels(p, "fdr", 0.01).selected, adjusted <= 0.01)
    np.testing.assert_array_equal(pass_voxels(p, "bonferroni", 0.05).selected, p <= 0.05 / len(p))
    np.testing.assert_array_equal(pass_voxels(p, "none", 0.05).selected, p <= 0.05)
    assert not pass_voxels(np.full(9, 0.5), "fdr", 0.01).selected.any()


def test_published_threshold_of_59412_vertices_and_17_degrees_of_freedom():
    # facts on NeuroClips and MinD-Video: one-sided t > 7.13 at P < .05, 8.05 at P < .01
    for alpha, t in ((0.05, 7.13), (0.01, 8.05)):
        threshold = p_threshold(np.ones(59412), "bonferroni", alpha)
        assert scipy.stats.t.isf(threshold, 17) == pytest.approx(t, abs=0.005)


def test_two_sided_thresholds_are_those_of_half_the_level():
    # the same facts: 7.52 at P < .05, 8.46 at P < .01, two-sided
    for alpha, t in ((0.05, 7.52), (0.01, 8.46)):
        threshold = p_threshold(np.ones(59412), "bonferroni", alpha / 2)
        assert scipy.stats.t.isf(threshold, 17) == pytest.approx(t, abs=0.005)


def test_segments_of_the_size_of_cc2017_are_selected_at_the_published_thresholds():
    rng = np.random.default_rng(11)
    strength = np.repeat([0.0, 0.15, 0.2, 0.25, 0.3, 0.6], 40)  # of what the repeats share
    test = OneSampleT(len(strength))
    segments = []
    for _ in range(18):
        shared = rng.standard_normal((240, len(strength))) * np.sqrt(strength)
        noise = rng.standard_normal((2, 240, len(strength))) * np.sqrt(1 - strength)
        segments.append((shared + noise).astype(np.float32))
        test.add(mean_pair_z(list(segments[-1])))
    z = np.arctanh([scipy.stats.pearsonr(x, y, axis=0)[0] for x, y in segments])
    t = scipy.stats.ttest_1samp(z, 0).statistic
    assert test.dof == 17
    for alpha, threshold in ((0.05, 7.13), (0.01, 8.05)):
        tested = np.concatenate([test.p_value(), np.ones(59412 - len(t))])  # the other vertices
        selected = pass_voxels(tested, "bonferroni", alpha).selected
        certain = np.abs(t - threshold) > 0.01
        np.testing.assert_array_equal(selected[: len(t)][certain], (t > threshold)[certain])
        assert not selected[:40].any()
        assert selected[200:240].all()
        assert 0 < selected[40:200].sum() < 160  # the threshold lies within what was simulated


def test_the_most_significant_fraction_and_the_region_are_kept():
    p = np.array([0.5, 1e-6, 1e-5, 1e-8, 1e-7, 1e-9])
    half = pass_voxels(p, "fdr", 0.01, fraction=0.5)
    assert np.flatnonzero(half.selected).tolist() == [3, 4, 5]
    region = np.array([True, True, True, False, False, False])
    inside = pass_voxels(p, "bonferroni", 0.01, region=region)
    assert np.flatnonzero(inside.selected).tolist() == [1, 2]
    assert inside.p_threshold == pytest.approx(0.01 / 3)


def test_under_the_null_the_test_keeps_its_level():
    rng = np.random.default_rng(5)
    test = OneSampleT(20_000)
    for _ in range(8):
        test.add(mean_pair_z([rng.standard_normal((15, 20_000)) for _ in range(2)]))
    rate = (test.p_value() < 0.05).mean()
    assert rate == pytest.approx(0.05, abs=0.006)  # four standard errors


@pytest.mark.parametrize("repeats", [1, 3, 10])
def test_noise_ceiling_is_what_the_true_signal_reaches(repeats):
    rng = np.random.default_rng(repeats)
    signal = rng.standard_normal(200_000)
    noise = 2.0
    single = [signal + noise * rng.standard_normal(signal.size) for _ in range(2)]
    reliability = np.corrcoef(*single)[0, 1]
    mean = signal + noise / np.sqrt(repeats) * rng.standard_normal(signal.size)
    reached = np.corrcoef(signal, mean)[0, 1]
    ceiling = noise_ceiling(np.array([reliability, -0.2]), repeats)
    assert ceiling[0] == pytest.approx(reached, abs=0.01)
    assert ceiling[0] == pytest.approx(np.sqrt(1 / (1 + noise**2 / repeats)), abs=0.01)
    assert ceiling[1] == 0
