from __future__ import annotations

import numpy as np
import pytest

from brainflix.errors import DataError
from brainflix.prior.noise import average_clips, fit_noise


def trials(clips: int, repeats: int, clip_sd: float, trial_sd: float, seed: int = 0):
    rng = np.random.default_rng(seed)
    dim = 5
    slope = np.array([0.3, 0.5, 0.5, 0.7, 0.9])
    z = rng.normal(size=(clips, dim))
    base = 0.2 + slope * z + clip_sd * rng.normal(size=(clips, dim))
    row = np.repeat(np.arange(clips), repeats)
    predicted = base[row] + trial_sd * rng.normal(size=(len(row), dim))
    clip = np.array([f"c{k}" for k in row])
    subject = np.full(len(row), "s")
    return predicted, z[row], clip, subject, np.ones(len(row), np.int64), slope


def test_the_line_and_both_variances_are_recovered():
    predicted, true, clip, subject, repeats, slope = trials(4000, 2, 0.4, 0.8)
    noise = fit_noise(average_clips(predicted, true, clip, subject, repeats))
    np.testing.assert_allclose(noise.slope, slope, atol=0.04)
    np.testing.assert_allclose(noise.mean, 0.2, atol=0.04)
    np.testing.assert_allclose(noise.clip_variance, 0.16, atol=0.05)  # sampling error 0.013
    assert noise.clip_variance.mean() == pytest.approx(0.16, abs=0.02)
    np.testing.assert_allclose(noise.trial_variance, 0.64, atol=0.05)


def test_the_variance_of_ten_repeats_is_predicted_from_two():
    noise = fit_noise(average_clips(*trials(4000, 2, 0.4, 0.8)[:5]))
    predicted, true, clip, subject, repeats, slope = trials(2000, 10, 0.4, 0.8, seed=1)
    ten = average_clips(predicted, true, clip, subject, repeats)
    seen = (ten.predicted - 0.2 - slope * ten.true).var(axis=0)
    np.testing.assert_allclose(noise.variance(10), seen, rtol=0.25)
    assert noise.variance(10).mean() == pytest.approx(seen.mean(), rel=0.08)
    assert (noise.variance(10) < noise.variance(2)).all()


def test_rows_that_average_trials_weigh_by_their_number():
    predicted, true, clip, subject, repeats, _ = trials(3000, 3, 0.4, 0.8)
    two = predicted.reshape(3000, 3, 5)
    rows = np.concatenate([two[:, :2].mean(axis=1), two[:, 2]])  # a mean of two, and a single one
    first = slice(None, None, 3)
    mixed = average_clips(
        rows,
        np.concatenate([true[first]] * 2),
        np.concatenate([clip[first]] * 2),
        np.full(6000, "s"),
        np.repeat([2, 1], 3000),
    )
    single = average_clips(predicted, true, clip, subject, repeats)
    np.testing.assert_allclose(mixed.predicted, single.predicted)
    np.testing.assert_allclose(mixed.trial_variance, 0.64, atol=0.06)
    assert set(mixed.repeats) == {3.0}


def test_without_repeats_no_average_is_trusted_more():
    noise = fit_noise(average_clips(*trials(500, 1, 0.4, 0.8)[:5]))
    np.testing.assert_array_equal(noise.variance(1), noise.variance(10))


def test_slopes_of_pure_noise_are_shrunk_to_the_common_one():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(20, 200))
    predicted = 0.5 * z + 2 * rng.normal(size=z.shape)
    names = np.array([f"c{k}" for k in range(20)])
    noise = fit_noise(average_clips(predicted, z, names, np.full(20, "s"), np.ones(20, np.int64)))
    raw = (z * predicted).sum(axis=0) / (z**2).sum(axis=0)
    assert np.abs(noise.slope - 0.5).mean() < 0.3 * np.abs(raw - 0.5).mean()


def test_too_few_clips_are_refused():
    predicted, true, clip, subject, repeats, _ = trials(4, 5, 0.4, 0.8)
    with pytest.raises(DataError, match="too few pairs") as error:
        fit_noise(average_clips(predicted, true, clip, subject, repeats))
    assert error.value.found == 4
    assert "validation" in str(error.value)
