"""Coordinates of targets, losses, ridge of a subject, and identification."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge

from brainflix.artifacts.responses import Trials
from brainflix.artifacts.stimuli import Clips
from brainflix.config.recipe import HeadConfig, RidgeConfig
from brainflix.crossvalidation import pairwise_identification
from brainflix.learning.contrastive import Comparison, soft_clip
from brainflix.learning.folds import group_folds
from brainflix.learning.losses import contrastive_loss, head_loss
from brainflix.models.mlp import MLP
from brainflix.models.residual_mlp import ResidualMLPConfig
from brainflix.models.swiglu import SwiGLU
from brainflix.regression.baseline import fit_ridge
from brainflix.regression.module import RegressionModule
from brainflix.regression.options import ResidualNetworkOptions
from brainflix.regression.target_space import make_space


@pytest.fixture
def values():
    rng = np.random.default_rng(0)
    found = 5 + rng.normal(size=(40, 6)) @ rng.normal(size=(6, 24)) * np.linspace(0.1, 9, 24)
    found[:, 3] = 2.5  # never changes
    return found.reshape(40, 2, 3, 4).astype(np.float32)


@pytest.mark.parametrize("components", [0, 10, 1000])
def test_scores_lead_back_to_the_targets(values, components):
    space = make_space(values, components)
    np.testing.assert_allclose(space.values(space.scores(values)), values, atol=2e-4, rtol=1e-4)
    assert space.components == {0: 24, 10: 6, 1000: 24}[components]
    assert np.mean(space.scores(values) ** 2) == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize("clips", [40, 12], ids=["many clips", "few clips"])
def test_components_are_those_of_scikit_learn(values, clips):
    some = values[:clips] + np.random.default_rng(1).normal(size=(clips, 2, 3, 4)).astype("f4")
    space = make_space(some, 3)
    flat = some.reshape(clips, -1)
    standard = (flat - flat.mean(axis=0)) / flat.std(axis=0)
    expected = PCA(3, svd_solver="full").fit(standard).components_
    assert np.abs((space.basis * expected.T).sum(axis=0)) == pytest.approx(1, abs=1e-5)


def test_a_target_that_never_changes_has_a_space():
    space = make_space(np.full((5, 3), 2.0, dtype=np.float32), 2)
    assert space.values(np.zeros((1, space.components), np.float32)).tolist() == [[2.0, 2.0, 2.0]]


def test_stretching_gives_the_typical_length_and_keeps_the_direction(values):
    space = make_space(values, 4)
    shrunk = space.values(0.2 * space.scores(values))
    found = space.stretch(shrunk)
    lengths = np.linalg.norm(space.scores(found), axis=1)
    np.testing.assert_allclose(lengths, np.sqrt(space.components), rtol=1e-3)
    mean = values.reshape(40, -1).mean(axis=0)
    for before, after in zip(shrunk.reshape(40, -1), found.reshape(40, -1), strict=True):
        cosine = np.dot(before - mean, after - mean) / (
            np.linalg.norm(before - mean) * np.linalg.norm(after - mean)
        )
        assert cosine == pytest.approx(1, abs=1e-4)
    typical = np.sqrt((np.linalg.norm(space.scores(values), axis=1) ** 2).mean())
    assert typical == pytest.approx(np.sqrt(space.components), rel=1e-4)


def test_stretching_treats_each_row_by_itself(values):
    space = make_space(values, 4)
    together = space.stretch(values[:5])
    for row in range(5):
        alone = space.stretch(values[row : row + 1])[0]
        np.testing.assert_allclose(together[row], alone, rtol=1e-4, atol=1e-5)
    mean = space.values(np.zeros((1, space.components), np.float32))
    np.testing.assert_allclose(space.stretch(mean), mean, atol=1e-4)


def test_the_loss_of_a_head_is_the_weighted_sum():
    torch.manual_seed(0)
    predicted, targets = torch.randn(6, 4), torch.randn(3, 4)
    clip = torch.tensor([0, 1, 2, 0, 1, 2])
    mse = ((predicted - targets[clip]) ** 2).mean()
    contrast = contrastive_loss(predicted, targets, clip, torch.tensor(4.0))
    options = HeadConfig(losses={"mse": 0.5, "contrastive": {"weight": 2.0, "temperature": 0.25}})
    found = head_loss(predicted, targets, clip, options)
    assert torch.allclose(found, 0.5 * mse + 2.0 * contrast)
    other = {"contrastive": {"weight": 1, "temperature": 0.25}}
    for losses in (other, {"mse": 0} | other):
        alone = head_loss(predicted, targets, clip, HeadConfig(losses=losses))
        assert torch.allclose(alone, contrast)
    assert head_loss(predicted, targets, clip, HeadConfig(losses={"mse": 0})).item() == 0
    assert torch.allclose(head_loss(predicted, targets, clip, HeadConfig()), mse)


def test_the_network_starts_as_ridge_and_outputs_are_not_dropped_out():
    options = {"heads": {"a": {}, "b": {}}, "width": 16, "blocks": 2, "dropout": 0.5}
    module = RegressionModule(5, {"a": 3, "b": 2}, options).train()
    inputs = torch.randn(7, 10)
    found = module(inputs)
    assert torch.equal(found["a"], inputs[:, 5:8])
    assert torch.equal(found["b"], inputs[:, 8:])
    plain = RegressionModule(5, {"a": 3, "b": 2}, options | {"use_linear": False, "dropout": 0.0})
    assert plain(inputs[:, :5])["a"].shape == (7, 3)
    assert isinstance(plain.heads[0], torch.nn.Linear)
    assert not list(plain.heads[0].children())


def test_the_default_trunk_is_residual_with_the_weights_it_draws_alone():
    options = {"width": 8, "heads": {"a": {}}}
    torch.manual_seed(3)
    module = RegressionModule(5, {"a": 3}, options)
    torch.manual_seed(3)
    torch.nn.Linear(8, 8)  # the entry, which is drawn first: 5 features and 3 ridge scores
    expected = ResidualMLPConfig(8, 2, 0.3).build().state_dict()
    found = module.trunk.state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(found[key], value) for key, value in expected.items())


@pytest.mark.parametrize(("trunk", "kind"), [("mlp", MLP), ("swiglu", SwiGLU)])
def test_other_trunks_start_as_ridge_too_and_learn(trunk, kind):
    options = {"width": 8, "heads": {"a": {}}, "trunk": trunk}
    module = RegressionModule(5, {"a": 3}, options).eval()
    assert isinstance(module.trunk, kind)
    inputs = torch.randn(7, 8)
    assert torch.equal(module(inputs)["a"], inputs[:, 5:])
    torch.nn.init.normal_(module.heads[0].weight)
    module(inputs)["a"].square().sum().backward()
    gradients = [weights.grad for weights in module.trunk.parameters()]
    assert any(gradient is not None and gradient.any() for gradient in gradients)


def test_soft_clip_is_a_loss_of_a_head_at_its_temperature():
    generator = torch.Generator().manual_seed(0)
    predicted = torch.randn(6, 4, generator=generator)
    targets = torch.randn(3, 4, generator=generator)
    clip = torch.tensor([0, 1, 2, 0, 1, 2])
    options = HeadConfig(losses={"soft_clip": {"weight": 0.5, "temperature": 0.2}})
    expected = 0.5 * soft_clip(predicted, Comparison(targets, clip), 5.0)
    assert torch.allclose(head_loss(predicted, targets, clip, options), expected)


@pytest.fixture
def subject():
    rng = np.random.default_rng(0)
    clips = Clips(
        "movie",
        np.array([f"c{k}" for k in range(36)]),
        np.array(["train"] * 30 + ["test"] * 6),
        np.array([f"g{k // 5}" for k in range(36)]),
    )
    order = np.concatenate([np.arange(30), np.arange(30), np.tile(np.arange(30, 36), 3)])
    factors = rng.normal(size=(36, 4))
    responses = factors[order] @ rng.normal(size=(4, 25)) + rng.normal(size=(len(order), 25))
    trials = Trials(
        "movie/sub-01",
        (7 + 3 * responses).astype(np.float32)[:, None],  # (trial, window, voxel)
        clips.clip[order],
        np.zeros(len(order), dtype=np.int64),
        np.array(["r"] * len(order)),
        clips.split[order],
    )
    target = (1 + factors @ rng.normal(size=(4, 12))).reshape(36, 3, 4).astype(np.float32)
    return clips, trials, target


def test_ridge_of_a_subject_is_that_of_scikit_learn(subject):
    clips, trials, target = subject
    space = make_space(target[clips.training], 0)
    options = RidgeConfig(alphas=(0.4,), folds=3)
    found = fit_ridge(trials, clips, {"t": target}, {"t": space}, options, seed=0)["t"]
    train, test = trials.training, ~trials.training
    rows = trials.features()
    mean, deviation = rows[train].mean(axis=0), rows[train].std(axis=0)
    x = (rows - mean) / deviation
    y = target.reshape(36, -1)[clips.rows(trials.clip)]
    model = Ridge(alpha=0.4 * 25).fit(x[train], y[train])
    assert found.alpha == pytest.approx(0.4 * 25)
    np.testing.assert_allclose(found.test.reshape(-1, 12), model.predict(x[test]), rtol=1e-3)

    scores = space.scores(target)[clips.rows(trials.clip)][train]
    folds = group_folds(clips.group[clips.rows(trials.clip[train])], 3, 0)
    for fold in range(3):
        out = folds == fold
        centred = scores - scores.mean(axis=0)
        model = Ridge(alpha=10.0, fit_intercept=False).fit(x[train][~out], centred[~out])
        expected = model.predict(x[train][out]) + scores.mean(axis=0)
        np.testing.assert_allclose(found.heldout[out], expected, atol=2e-3)


def test_the_penalty_follows_the_noise(subject):
    clips, trials, target = subject
    space = {"t": make_space(target[clips.training], 0)}
    options = RidgeConfig(alphas=(0.001, 0.1, 10.0), folds=5)
    little = fit_ridge(trials, clips, {"t": target}, space, options, seed=0)["t"].alpha
    rng = np.random.default_rng(3)
    noisy = Trials(
        trials.subject,
        trials.responses + 12 * rng.normal(size=trials.responses.shape).astype(np.float32),
        trials.clip,
        trials.repeat,
        trials.run,
        trials.split,
    )
    much = fit_ridge(noisy, clips, {"t": target}, space, options, seed=0)["t"].alpha
    assert little < much


def test_pairwise_identification_is_the_loop_over_pairs():
    rng = np.random.default_rng(0)
    true = rng.normal(size=(9, 2, 5))
    predicted = true + 1.5 * rng.normal(size=true.shape)
    wins = []
    for i in range(9):
        for j in range(9):
            if i != j:
                own, other = (
                    np.corrcoef(predicted[i].ravel(), true[k].ravel())[0, 1] for k in (i, j)
                )
                wins.append(own > other)
    assert pairwise_identification(predicted, true) == pytest.approx(np.mean(wins))
    assert pairwise_identification(true, true) == 1.0
    assert pairwise_identification(np.ones((4, 3)), rng.normal(size=(4, 3))) == 0.5


def test_the_default_section_is_valid_without_heads():
    assert ResidualNetworkOptions().ridge.folds == 10
