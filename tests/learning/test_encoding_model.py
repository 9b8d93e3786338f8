"""The encoding model against its formula, refits, and a world whose answer is known."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from brainflix.errors import DataError
from brainflix.learning.clip_features import FeaturePrior, fit_prior
from brainflix.learning.encoding_model import (
    EncodingModel,
    EncodingOptions,
    fit_encoding_head,
)
from brainflix.learning.folds import group_folds
from brainflix.learning.ridge import Standardization
from brainflix.learning.voxel_regression import ResidualProducts, VoxelRegression

K = 4


def world(voxels, clips=40, repeats=3, noise=3.0, seed=0, shared=4):
    """Trials of a linear brain with correlated noise, in the order of presentation."""
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((clips, K)) * np.array([2.0, 1.5, 1.0, 0.5])
    features -= features.mean(axis=0)
    weights = rng.standard_normal((K, voxels))
    loading = rng.standard_normal((shared, voxels))
    place = np.tile(np.arange(clips), repeats)
    count = len(place)
    error = rng.standard_normal((count, shared)) @ loading + rng.standard_normal((count, voxels))
    rows = (features[place] @ weights + noise * error + 2.0).astype(np.float32)
    clip = np.array([f"clip{k:02d}" for k in place])
    group = np.array([f"run{k // 5}" for k in place])
    return rows, features[place], clip, group, fit_prior(features)


def model_of(voxels, count, seed=0, persistence=0.0):
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal((K, voxels)).astype(np.float32)
    root = rng.standard_normal((voxels, 2 * voxels))
    noise = root @ root.T / voxels
    filters = weights @ np.linalg.inv(noise)
    root = rng.standard_normal((K, K - 1))
    prior = FeaturePrior(rng.standard_normal(K), root @ root.T)  # singular
    unit = Standardization(np.zeros(voxels, np.float32), np.ones(voxels, np.float32))
    model = EncodingModel(
        unit,
        rng.standard_normal(K),
        weights,
        filters.astype(np.float32),
        filters @ weights.T,
        prior,
        persistence,
    )
    rows = rng.standard_normal((count, voxels)).astype(np.float32)
    return model, noise, rows


@pytest.mark.parametrize("repeats", [1, 4])
def test_the_posterior_is_the_conditional_distribution_of_a_joint_normal(repeats):
    model, noise, rows = model_of(7, 5)
    prior, weights = model.prior, model.weights.T.astype(float)
    # joint of (f, mean of n responses): condition in the space of voxels
    marginal = weights @ prior.covariance @ weights.T + noise / repeats
    gain = prior.covariance @ weights.T @ np.linalg.inv(marginal)
    expected = prior.mean + (rows - (prior.mean - model.centre) @ weights.T) @ gain.T
    assert np.allclose(model.decode(rows, repeats), expected, atol=1e-4)
    covariance = prior.covariance - gain @ weights @ prior.covariance
    assert np.allclose(model.covariance(repeats), covariance, atol=1e-5)
    slope, bias = model.affine(repeats)
    assert np.allclose(rows @ slope + bias, expected, atol=1e-4)


def test_rows_of_different_numbers_of_repeats_are_decoded_each_by_its_own():
    model, _, rows = model_of(7, 6)
    counts = np.array([1, 4, 2, 4, 1, 2])
    together = model.decode(rows, counts)
    for k, count in enumerate(counts):
        assert np.allclose(together[k], model.decode(rows[k : k + 1], int(count))[0])
    with pytest.raises(DataError, match="repeats of a response"):
        model.decode(rows, 0)


def test_what_repeats_share_is_not_averaged_away():
    model, _, rows = model_of(7, 3, persistence=1.0)
    assert np.allclose(model.decode(rows, 10), model.decode(rows, 1))
    free, _, _ = model_of(7, 3)
    half, _, _ = model_of(7, 3, persistence=0.5)
    # n / (1 + (n - 1) rho): 3 repeats that have half of their error in common are worth 1.5, as
    # are 9 of which 62.5 % is in common
    more, _, _ = model_of(7, 3, persistence=0.625)
    assert np.allclose(half.decode(rows, 3), more.decode(rows, 9))
    assert np.trace(free.covariance(9)) < np.trace(half.covariance(9)) < np.trace(half.covariance())


def direct_filters(rows, features, penalty, shrinkage, keep, scale):
    """W' S^-1 with every matrix written out."""
    x, y = features[keep], rows[keep].astype(float)
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    inverse = np.linalg.inv(x.T @ x + penalty * np.diag([1.0] * K + [0.0]))
    weights = inverse @ x.T @ y
    trace = np.trace(inverse @ x.T @ x)
    n = len(x)
    residual = (y - x @ weights) / scale
    correlations = residual.T @ residual / n * (1 + trace / n) / (1 - trace / n)
    shrunk = (1 - shrinkage) * correlations + shrinkage * np.eye(len(scale))
    covariance = scale[:, None] * shrunk * scale
    return weights, weights @ np.linalg.inv(covariance)


@pytest.mark.parametrize("voxels", [30, 300])  # fewer voxels than rows, and more
@pytest.mark.parametrize("shrinkage", [0.1, 0.6, 1.0])
def test_filters_of_any_rows_are_those_of_the_matrices_written_out(voxels, shrinkage):
    rows, features, *_ = world(voxels)
    rows = Standardization.of(rows).apply(rows)
    regression = VoxelRegression.of(rows, features)
    products = ResidualProducts.of(regression, 5.0)
    rng = np.random.default_rng(1)
    for keep in (np.ones(len(rows), dtype=bool), rng.random(len(rows)) < 0.7):
        weights, filters = products.filters(5.0, shrinkage, keep)
        expected = direct_filters(
            rows, features, 5.0, shrinkage, keep, products.scale.astype(float)
        )
        assert np.allclose(weights, expected[0], atol=1e-5)
        error = np.abs(filters - expected[1]).max()
        assert error < 1e-4 * np.abs(expected[1]).max()


def test_weights_are_ridge_with_an_intercept():
    rows, features, *_ = world(30)
    rows = Standardization.of(rows).apply(rows)
    regression = VoxelRegression.of(rows, features)
    keep = np.arange(len(rows)) % 3 > 0
    expected = Ridge(alpha=7.0).fit(features[keep], rows[keep])
    found, trace = regression.weights(7.0, keep)
    assert np.allclose(found[:-1], expected.coef_.T, atol=1e-5)
    assert np.allclose(found[-1], expected.intercept_, atol=1e-5)
    assert 1 < trace < K + 1


def test_penalty_and_shrinkage_are_those_that_decode_left_out_trials_best():
    rows, features, clip, group, prior = world(60)
    grid = EncodingOptions((0.01, 0.1, 1.0, 10.0), (0.1, 0.3, 0.6, 0.9), 4)
    chosen = fit_encoding_head(rows, features, clip, group, prior, grid, 0)

    def likeness(penalty, shrinkage):
        one = EncodingOptions((penalty,), (shrinkage,), 4)
        heldout = fit_encoding_head(rows, features, clip, group, prior, one, 0).heldout
        averages = [
            np.array([part[clip == name].mean(axis=0) for name in np.unique(clip)])
            for part in (heldout - prior.mean, features - prior.mean)
        ]
        return np.corrcoef(*(part.ravel() for part in averages))[0, 1]

    best = likeness(chosen.penalty, chosen.shrinkage)
    every = [likeness(p, s) for p in grid.penalties for s in grid.shrinkages]
    assert best > max(every) - 0.005
    assert best > np.median(every)


@pytest.mark.parametrize("voxels", [30, 300])
def test_left_out_rows_are_decoded_as_by_a_fit_without_them(voxels):
    rows, features, clip, group, prior = world(voxels)
    options = EncodingOptions(penalties=(0.1,), shrinkages=(0.1,), folds=4)
    head = fit_encoding_head(rows, features, clip, group, prior, options, 0)
    inside = group_folds(group, 4, 0) == 2
    parts = (part[~inside] for part in (rows, features, clip, group))
    squares = [np.square(part - part.mean(axis=0)).sum() for part in (features, features[~inside])]
    same = EncodingOptions((0.1 * squares[0] / squares[1],), (0.1,), 4)
    refit = fit_encoding_head(*parts, prior, same, 0)
    # Equal but for the means and deviations of responses and features, taken once from all rows.
    difference = np.square(refit.model.decode(rows[inside]) - head.heldout[inside]).mean()
    assert difference < 0.01 * np.square(head.heldout[inside]).mean()
    # In-sample outputs differ: there the covariance knows the noise of the very rows.
    own = np.square(head.model.decode(rows[inside]) - head.heldout[inside]).mean()
    assert own > 5 * difference


def test_noise_decodes_to_the_prior():
    """Left-out outputs of responses without any signal say nothing about the clips.

    With the responses centred over all rows, instead of over those that are fitted, r would be
    0.095 here: the others' residuals then span the left-out fold's mean noise.
    """
    options = EncodingOptions(penalties=(0.01,), shrinkages=(0.05,))
    r = []
    for seed in range(24):
        _, features, clip, group, prior = world(10, clips=60, repeats=2, seed=seed)
        rng = np.random.default_rng(seed)
        shared = rng.standard_normal((120, 5)) @ rng.standard_normal((5, 300))
        rows = (shared + rng.standard_normal((120, 300))).astype(np.float32)
        head = fit_encoding_head(rows, features, clip, group, prior, options, 0)
        r.append(np.corrcoef(head.heldout.ravel(), features.ravel())[0, 1])
    assert abs(np.mean(r)) < 0.05  # standard error .014


@pytest.mark.parametrize("voxels", [30, 300])
def test_it_comes_near_the_best_there_is_and_the_covariance_matters(voxels):
    train = world(voxels, clips=60, repeats=4)
    head = fit_encoding_head(*train[:5], EncodingOptions(), 0)
    # new trials of the same brain: the world's first draws fix features and weights
    rng = np.random.default_rng(0)
    scale = np.array([2.0, 1.5, 1.0, 0.5])
    first = rng.standard_normal((60, K)) * scale
    weights, loading = rng.standard_normal((K, voxels)), rng.standard_normal((4, voxels))
    rng = np.random.default_rng(9)
    features = rng.standard_normal((400, K)) * scale - first.mean(axis=0) * 0
    error = rng.standard_normal((400, 4)) @ loading + rng.standard_normal((400, voxels))
    rows = (features @ weights + 3.0 * error + 2.0).astype(np.float32)
    noise = 9.0 * (loading.T @ loading + np.eye(voxels))
    information = weights @ np.linalg.solve(noise, weights.T)
    posterior = np.linalg.inv(np.diag(1 / scale**2) + information)
    best = (rows - 2.0) @ np.linalg.solve(noise, weights.T) @ posterior

    def explained(found):
        return 1 - np.square(found - features).sum() / np.square(features).sum()

    limit = explained(best)
    assert 0.5 < limit < 0.99
    assert explained(head.model.decode(rows)) > limit - 0.12
    diagonal = fit_encoding_head(*train[:5], EncodingOptions(shrinkages=(1.0,)), 0)
    assert explained(diagonal.model.decode(rows)) < explained(head.model.decode(rows)) - 0.05
    assert head.shrinkage < 1


def test_averages_of_repeats_are_decoded_better_than_single_trials():
    rows, features, clip, group, prior = world(60)
    head = fit_encoding_head(rows, features, clip, group, prior, EncodingOptions(), 0)
    assert 0 <= head.model.persistence < 0.5  # noise of this world is new in each repeat
    assert np.trace(head.model.covariance(10)) < 0.7 * np.trace(head.model.covariance())


def test_repeats_with_one_error_in_common_are_recognised():
    rows, features, clip, group, prior = world(60, noise=0.5)
    _, place = np.unique(clip, return_inverse=True)
    rng = np.random.default_rng(5)
    common = rng.standard_normal((place.max() + 1, 60))[place]
    head = fit_encoding_head(
        rows + 3 * common.astype(np.float32), features, clip, group, prior, EncodingOptions(), 0
    )
    assert head.model.persistence > 0.6


def test_without_repeats_averaging_is_taken_to_help_fully():
    rows, features, clip, group, prior = world(60, repeats=1)
    head = fit_encoding_head(rows, features, clip, group, prior, EncodingOptions(), 0)
    assert head.model.persistence == 0


def test_predicted_responses_are_those_of_the_regression():
    rows, features, clip, group, prior = world(60, noise=0.1)
    head = fit_encoding_head(rows, features, clip, group, prior, EncodingOptions(), 0)
    standard = head.model.statistics.apply(rows)
    assert np.square(head.model.encode(features) - standard).mean() < 0.1


def test_silent_voxels_and_constant_responses():
    rows, features, clip, group, prior = world(60)
    rows[:, 7] = 3.0
    head = fit_encoding_head(rows, features, clip, group, prior, EncodingOptions(), 0)
    assert np.isfinite(head.heldout).all()
    assert np.all(head.model.filters[:, 7] == 0)
    with pytest.raises(DataError, match="do not vary"):
        fit_encoding_head(np.ones_like(rows), features, clip, group, prior, EncodingOptions(), 0)
    with pytest.raises(DataError, match="features do not vary"):
        fit_encoding_head(rows, np.ones_like(features), clip, group, prior, EncodingOptions(), 0)
    one = np.full(len(rows), "run")
    with pytest.raises(DataError, match="too few groups"):
        fit_encoding_head(rows, features, clip, one, prior, EncodingOptions(), 0)


def test_the_scale_of_features_does_not_matter():
    rows, features, clip, group, prior = world(60)
    heads = []
    for scale in (1.0, 0.01):
        scaled = FeaturePrior(scale * prior.mean, scale**2 * prior.covariance)
        options = EncodingOptions()
        heads.append(fit_encoding_head(rows, scale * features, clip, group, scaled, options, 0))
    assert heads[0].penalty == pytest.approx(heads[1].penalty)
    assert np.allclose(heads[0].heldout, 100 * heads[1].heldout, atol=1e-3)


def test_a_head_as_a_linear_layer():
    rows, features, clip, group, prior = world(60)
    head = fit_encoding_head(rows, features, clip, group, prior, EncodingOptions(), 0)
    lift = np.random.default_rng(0).standard_normal((K, 9))
    weights, bias, heldout = head.placed(lift)
    standard = head.model.statistics.apply(rows)
    assert np.allclose(standard @ weights + bias, head.model.decode(rows) @ lift, atol=1e-4)
    assert np.allclose(heldout, head.heldout @ lift, atol=1e-4)
