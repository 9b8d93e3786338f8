from __future__ import annotations

import numpy as np
import pytest
from support.toy_priors import FORM, encode, held_out, noisy, pairs, training_clips

from brainflix.prior.atoms import make_pseudo_clips
from brainflix.prior.catalogue import make_prior
from brainflix.prior.data import Pairs, TargetForm, TrainingClips
from brainflix.prior.noise import NoiseModel
from brainflix.prior.posterior import AtomPosterior, Likelihood

PLANE = TargetForm("plane", "toy", "toy", (2,))
SLOPE, SHIFT = np.array([0.8, 0.5]), np.array([0.5, -1.0])


def plane(true: np.ndarray, deviation: np.ndarray, seed: int) -> Pairs:
    """Return predictions of points in the plane."""
    rng = np.random.default_rng(seed)
    predicted = SHIFT + SLOPE * true + deviation * rng.normal(size=true.shape)
    names = np.array([f"c{k}" for k in range(len(true))])
    ones = np.ones(len(true), np.int64)
    return Pairs(
        names, np.full(len(true), "s"), ones, predicted.astype(np.float32),
        true.astype(np.float32),
    )  # fmt: skip


def test_the_posterior_mean_of_a_gaussian_is_the_closed_form():
    rng = np.random.default_rng(0)
    centre, spread, deviation = np.array([2.0, 1.0]), np.array([1.5, 0.7]), np.array([0.6, 0.6])
    points = centre + spread * rng.normal(size=(40_000, 2))
    clips = TrainingClips(PLANE, points.astype(np.float32))
    fitted = plane(points[:4000], deviation, 1)
    prior = make_prior("empirical_bayes", {"atoms": "clips", "temper": 1.0}).fit(fitted, clips)
    seen = plane(centre + spread * rng.normal(size=(50, 2)), deviation, 2).predicted
    gain = SLOPE * spread**2 / (SLOPE**2 * spread**2 + deviation**2)
    expected = centre + gain * (seen - SHIFT - SLOPE * centre)
    np.testing.assert_allclose(prior.apply(seen), expected, atol=0.12)


def test_more_repeats_move_the_mean_from_the_prior_to_the_prediction():
    noise = NoiseModel(np.zeros(1), np.ones(1), np.full(1, 0.1), np.full(1, 2.0))
    rng = np.random.default_rng(0)
    atoms = rng.normal(size=(50_000, 1)).astype(np.float32)
    posterior = AtomPosterior(noise, atoms)
    for repeats in (1, 10):
        expected = 1.5 / (1 + 0.1 + 2.0 / repeats)
        assert posterior.mean(np.array([1.5]), repeats, 1.0) == pytest.approx(expected, abs=0.03)


def test_a_spread_of_the_atoms_widens_the_likelihood_through_the_slopes():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(3, 3))
    spread, slope = root @ root.T, np.array([0.5, 1.0, 2.0])
    noise = NoiseModel(np.ones(3), slope, np.full(3, 0.2), np.full(3, 0.4))
    atoms = rng.normal(size=(6, 3)).astype(np.float32)
    prediction = rng.normal(size=3)
    posterior = AtomPosterior(noise, atoms, spread)
    found = posterior.log_likelihood(prediction, 2)
    covariance = 0.4 * np.eye(3) + np.outer(slope, slope) * spread
    away = prediction - 1 - slope * atoms
    expected = -0.5 * np.einsum("ac,cd,ad->a", away, np.linalg.inv(covariance), away)
    np.testing.assert_allclose(found - found[0], expected - expected[0], rtol=1e-4, atol=1e-4)
    likelihood = Likelihood(noise, 2, spread)
    np.testing.assert_allclose(
        ((likelihood.prediction(prediction) - likelihood.atoms(atoms)) ** 2).sum(axis=1),
        -2 * expected,
        rtol=1e-4,
    )


def test_pseudo_clips_hold_the_combinations_that_training_clips_lack():
    clips = training_clips()
    pseudo = make_pseudo_clips(clips.captions, 4, 1000, 0)
    told = {pseudo.sentences[row[0]] for row in pseudo.members}
    assert any(held_out(text.split()[2], text.split()[1]) for text in told)
    assert len(pseudo.members) == 4 * 4 * 3
    from brainflix.regression.target_space import make_space

    space = make_space(clips.values, 0)
    place = list(map(tuple, (np.array(pseudo.sentences)[pseudo.members]).tolist()))
    row = place.index(clips.captions[5])
    np.testing.assert_allclose(
        pseudo.scores(encode, space)[row], space.scores(clips.values[5:6])[0], atol=1e-5
    )


def test_the_limit_keeps_the_clips_themselves():
    captions = training_clips().captions
    pseudo = make_pseudo_clips(captions, 4, len(captions) + 3, 0)
    assert len(pseudo.members) == len(captions) + 3
    kept = {tuple(pseudo.sentences[k] for k in row) for row in pseudo.members}
    assert set(captions) < kept


def test_an_unseen_combination_survives_pseudo_clips_and_not_training_clips():
    clips = training_clips()
    rng = np.random.default_rng(3)
    unseen = encode(["a blue ball rises", "the ball is blue and rises"]).mean(axis=0)
    assert held_out("ball", "blue")
    predictions = noisy(np.repeat(unseen[None], 10, axis=0), rng, 0.1)
    errors = {}
    for atoms in ("clips", "pseudo_clips"):
        options = {"atoms": atoms, "estimate": "map", "components": 0}
        prior = make_prior("empirical_bayes", options).fit(pairs(clips), clips)
        errors[atoms] = np.abs(prior.apply(predictions, 1) - unseen).mean()
    assert errors["pseudo_clips"] < 1e-4 < errors["clips"]
    assert FORM.shape == unseen.shape
