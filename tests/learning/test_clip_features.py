"""Features of clips: principal components of targets side by side, and their prior."""

import numpy as np
import pytest

from brainflix.errors import DataError
from brainflix.learning.clip_features import feature_lift, fit_clip_features, fit_prior


def targets(clips=30, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "embedding": rng.standard_normal((clips, 5)).astype(np.float32) + 2.0,
        "latents": 100 * rng.standard_normal((clips, 2, 4, 3)).astype(np.float32),
    }


@pytest.mark.parametrize("clips", [12, 200])  # fewer clips than dimensions, and more
def test_features_are_principal_components_of_scaled_targets(clips):
    values = targets(clips)
    space = fit_clip_features(values, 4)
    blocks = []
    for value in values.values():
        flat = value.reshape(clips, -1).astype(np.float64)
        flat -= flat.mean(axis=0)
        blocks.append(flat / np.sqrt((flat**2).sum() / clips))  # each of total variance 1
    side = np.concatenate(blocks, axis=1)
    left, strength, _ = np.linalg.svd(side, full_matrices=False)
    expected = left[:, :4] * strength[:4]
    expected /= np.sqrt((expected**2).mean())
    found = space.features(values)
    assert np.allclose(np.abs(found), np.abs(expected), atol=1e-4)
    assert (found**2).mean() == pytest.approx(1, rel=1e-4)
    axes = np.concatenate([*space.axes.values()])
    assert np.allclose(axes.T @ axes, np.eye(4), atol=1e-4)


def test_all_components_reconstruct_the_targets():
    values = targets(20)
    space = fit_clip_features(values, 1000)
    assert space.components == 19
    for name, value in values.items():
        found = space.target(name, space.features(values))
        assert found.shape == value.shape
        assert found.dtype == np.float32
        assert np.abs(found - value).max() < 1e-3 * np.abs(value).max()


def test_a_target_that_never_varies_adds_nothing():
    values = targets()
    constant = values | {"constant": np.full((30, 3), 0.1, np.float32)}
    found = fit_clip_features(constant, 3).features(constant)
    expected = fit_clip_features(values, 3).features(values)
    assert np.allclose(np.abs(found), np.abs(expected), atol=1e-3)


@pytest.mark.parametrize("dim", [20, 8, 5])
def test_lifted_features_keep_the_target_and_add_what_else_they_say(dim):
    rng = np.random.default_rng(0)
    coordinates = rng.standard_normal((7, 5))
    lift = np.linalg.qr(rng.standard_normal((dim, 5)))[0].T
    found = feature_lift(coordinates, lift, 0)
    assert np.allclose(found @ lift.T, coordinates)
    other = found - coordinates @ lift
    count = min(7, dim - 5)
    expected = np.diag([1 / 7] * count + [0.0] * (7 - count))
    assert np.allclose(other @ other.T, expected)
    assert np.linalg.matrix_rank(found) == min(7, dim)  # nothing is lost where there is room


def test_the_prior_is_the_mean_and_covariance():
    rows = np.random.default_rng(0).standard_normal((50, 3)) @ np.diag([1.0, 2.0, 3.0]) + 1
    prior = fit_prior(rows)
    assert np.allclose(prior.mean, rows.mean(axis=0))
    assert np.allclose(prior.covariance, np.cov(rows.T, bias=True))


def test_what_does_not_fit_is_refused():
    values = targets()
    with pytest.raises(DataError, match="targets of the same clips"):
        fit_clip_features({**values, "short": np.ones((3, 2), np.float32)}, 3)
    with pytest.raises(DataError, match="targets of the same clips"):
        fit_clip_features({}, 3)
    with pytest.raises(DataError, match="no target differs"):
        fit_clip_features({"flat": np.ones((4, 2), np.float32)}, 3)
    space = fit_clip_features(values, 3)
    with pytest.raises(DataError, match="the target latents does not fit") as caught:
        space.features({"embedding": values["embedding"]})
    assert caught.value.remedy
    with pytest.raises(DataError, match="the target latents does not fit"):
        space.features({**values, "latents": values["latents"][:, :1]})
    with pytest.raises(DataError, match="too few clips"):
        fit_prior(np.ones((1, 3)))
