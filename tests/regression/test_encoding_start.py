"""Targets by an inverted encoding model, in the place of ridge."""

import numpy as np
import pytest

from brainflix.artifacts.responses import Trials
from brainflix.artifacts.stimuli import Clips
from brainflix.config.recipe import RidgeConfig
from brainflix.learning.clip_features import fit_clip_features, fit_prior
from brainflix.learning.encoding_model import EncodingOptions
from brainflix.regression.baseline import fit_ridge
from brainflix.regression.encoding_start import fit_encoding
from brainflix.regression.target_space import make_space


@pytest.fixture
def world():
    """Few noisy trials of one subject, and clips of everybody that say how targets co-vary."""
    rng = np.random.default_rng(0)
    clips, train, test = 300, 60, 40
    latent = rng.standard_normal((clips, 4))
    values = {
        "embedding": latent @ rng.standard_normal((4, 6)) + 1,
        "latents": (10 * latent @ rng.standard_normal((4, 12))).reshape(clips, 3, 4),
    }
    values = {name: found.astype(np.float32) for name, found in values.items()}
    split = np.array(["train"] * (clips - test) + ["test"] * test)
    group = np.array([f"g{k // 10}" for k in range(clips - test)] + ["held"] * test)
    names = np.array([f"clip{k:03d}" for k in range(clips)])
    study = Clips("movie", names, split, group)
    shown = np.concatenate([np.arange(train), np.arange(clips - test, clips)])
    weights, loading = rng.standard_normal((4, 80)), rng.standard_normal((6, 80))
    noise = rng.standard_normal((len(shown), 6)) @ loading
    rows = latent[shown] @ weights + 4 * noise + 4 * rng.standard_normal((len(shown), 80))
    trials = Trials(
        "movie/sub-01",
        rows.reshape(len(shown), 2, 40).astype(np.float32),
        names[shown],
        np.zeros(len(shown), np.int64),
        group[shown],
        split[shown],
    )
    return trials, study, values


def test_it_gives_what_ridge_gives_and_is_about_as_near(world):
    trials, clips, values = world
    training = {name: found[clips.training] for name, found in values.items()}
    spaces = {name: make_space(found, 4) for name, found in training.items()}
    features = fit_clip_features(training, 4)
    prior = fit_prior(features.features(training))
    found = fit_encoding(trials, clips, values, spaces, features, prior, EncodingOptions(), 0)
    ridge = fit_ridge(trials, clips, values, spaces, RidgeConfig(), 0)
    rows = clips.rows(trials.clip)
    for name, space in spaces.items():
        assert found[name].test.shape == ridge[name].test.shape
        assert found[name].heldout.shape == ridge[name].heldout.shape == (60, space.components)
        true = space.scores(values[name])[rows]
        test, left_out = [
            [np.square(f - t).mean() for f in parts]
            for parts, t in (
                ([space.scores(k[name].test) for k in (found, ridge)], true[60:]),
                ([k[name].heldout for k in (found, ridge)], true[:60]),
            )
        ]
        assert test[0] < 1.02 * test[1] < 0.5
        assert left_out[0] < 1.1 * left_out[1]
        # Left-out scores err as those of test trials do: what trains on them is not fooled.
        assert left_out[0] == pytest.approx(test[0], rel=0.4)
