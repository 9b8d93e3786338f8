"""Ridge by one decomposition, against himalaya and refitting; repeats; standardisation."""

import numpy as np
import pytest
from himalaya.ridge import solve_ridge_svd
from sklearn.linear_model import Ridge

from brainflix.errors import DataError
from brainflix.learning.ridge import (
    Standardization,
    average_repeats,
    choose_alphas,
    decompose,
    heldout_predictions,
)


@pytest.fixture(params=[(30, 50), (60, 12)], ids=["wide", "tall"])
def problem(request):
    rows, features = request.param
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, features)).astype(np.float32)
    x -= x.mean(axis=0)
    y = x @ rng.normal(size=(features, 3)) + rng.normal(size=(rows, 3))
    return x, y - y.mean(axis=0), np.arange(rows) % 5


@pytest.mark.parametrize("alpha", [0.5, 40.0])
def test_weights_are_those_of_scikit_learn(problem, alpha):
    x, y, _ = problem
    expected = Ridge(alpha=alpha, fit_intercept=False).fit(x.astype(float), y).coef_.T
    np.testing.assert_allclose(decompose(x).weights(y, alpha), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("alpha", [0.5, 40.0, 1000.0])
def test_weights_and_left_out_folds_are_those_of_himalaya(problem, alpha):
    x, y, folds = problem
    exact = x.astype(np.float64)
    options = {"alpha": alpha, "fit_intercept": False, "warn": False}
    weights = solve_ridge_svd(exact, y, **options)
    spectrum = decompose(x)
    np.testing.assert_allclose(spectrum.weights(y, alpha), weights, rtol=1e-6, atol=1e-8)
    heldout = heldout_predictions(spectrum, y, alpha, folds)
    for fold in range(5):
        out = folds == fold
        without = solve_ridge_svd(exact[~out], y[~out], **options)
        np.testing.assert_allclose(heldout[out], exact[out] @ without, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("alpha", [0.5, 40.0])
def test_left_out_folds_are_those_of_refitting(problem, alpha):
    x, y, folds = problem
    found = heldout_predictions(decompose(x), y, alpha, folds)
    for fold in range(5):
        out = folds == fold
        model = Ridge(alpha=alpha, fit_intercept=False).fit(x[~out].astype(float), y[~out])
        np.testing.assert_allclose(found[out], model.predict(x[out]), rtol=1e-5, atol=1e-6)


def test_alphas_are_those_of_a_search_over_averaged_repeats(problem):
    x, y, _ = problem
    clip = np.array([f"c{k // 3}" for k in range(len(x))])  # three repeats a clip
    folds = np.unique(clip, return_inverse=True)[1] % 4
    alphas = [0.1, 3.0, 30.0, 300.0, 3000.0]
    names = np.unique(clip)
    true = np.stack([y[clip == name].mean(axis=0) for name in names])
    errors = []
    for alpha in alphas:
        predicted = np.zeros_like(y)
        for fold in range(4):
            out = folds == fold
            model = Ridge(alpha=alpha, fit_intercept=False).fit(x[~out].astype(float), y[~out])
            predicted[out] = model.predict(x[out])
        means = np.stack([predicted[clip == name].mean(axis=0) for name in names])
        gain = (means * true).sum() / (means**2).sum()  # the best common factor
        errors.append(((gain * means - true) ** 2).sum())
    noise = np.random.default_rng(1).normal(size=y.shape)  # nothing to find: no fixed answer
    found = choose_alphas(decompose(x), {"y": y, "noise": noise}, folds, clip, alphas)
    assert found["y"] == alphas[int(np.argmin(errors))]
    assert found["noise"] in alphas


def test_of_equal_penalties_the_largest_is_taken():
    x = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    clip = np.array([str(k) for k in range(8)])
    zero = {"y": np.zeros((8, 2))}
    assert choose_alphas(decompose(x), zero, np.arange(8) % 2, clip, [9.0, 1.0]) == {"y": 9.0}


def test_penalties_grow_with_the_number_of_features():
    x = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    assert decompose(x).penalties([0.1, 2.0]) == pytest.approx([0.3, 6.0])


def test_responses_that_never_vary_are_refused():
    with pytest.raises(DataError, match="do not vary"):
        decompose(np.zeros((4, 3), dtype=np.float32))


def test_standardization_leaves_constant_features_finite():
    rows = np.random.default_rng(0).normal(5, 3, size=(50, 4)).astype(np.float32)
    rows[:, 2] = 1e4
    found = Standardization.of(rows).apply(rows)
    np.testing.assert_allclose(found[:, [0, 1, 3]].std(axis=0), 1, rtol=1e-4)
    assert (found[:, 2] == 0).all()


def test_averages_over_repeats_are_means_a_label():
    rng = np.random.default_rng(0)
    labels = rng.choice(["b", "a", "d", "c"], size=30)
    values = rng.normal(size=(30, 2, 3)).astype(np.float32)
    means, unique = average_repeats(values, labels)
    assert unique.tolist() == ["a", "b", "c", "d"]
    assert means.dtype == np.float32
    for row, label in enumerate(unique):
        np.testing.assert_allclose(means[row], values[labels == label].mean(axis=0), rtol=1e-5)


def test_an_average_of_nothing_is_nothing():
    means, unique = average_repeats(np.zeros((0, 2), dtype=np.float32), np.array([], dtype=str))
    assert means.shape == (0, 2)
    assert len(unique) == 0
