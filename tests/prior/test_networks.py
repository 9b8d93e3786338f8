from __future__ import annotations

import numpy as np
import pytest
import torch

from brainflix.errors import ArtifactError
from brainflix.prior.catalogue import make_prior
from brainflix.prior.data import Pairs, TargetForm, TrainingClips
from brainflix.prior.diffusion import make_scheduler
from brainflix.prior.options import TrainingOptions
from brainflix.prior.training import learning_rate, train

PLANE = TargetForm("plane", "toy", "toy", (2,))
CENTRES = np.array([[-2.0, 0.0], [2.0, 1.0]])
WITHIN, DEVIATION, SLOPE = 0.4, 0.8, 0.7


def draw(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw from a mixture of two Gaussians, and predictions of the points."""
    rng = np.random.default_rng(seed)
    true = CENTRES[rng.integers(2, size=count)] + WITHIN * rng.normal(size=(count, 2))
    predicted = SLOPE * true + DEVIATION * rng.normal(size=true.shape)
    return true.astype(np.float32), predicted.astype(np.float32)


def posterior_mean(predicted: np.ndarray) -> np.ndarray:
    """Return the exact posterior mean under the mixture."""
    total = SLOPE**2 * WITHIN**2 + DEVIATION**2
    away = predicted[:, None] - SLOPE * CENTRES  # (row, centre, 2)
    log = -0.5 * (away**2).sum(axis=-1) / total
    weight = np.exp(log - log.max(axis=1, keepdims=True))
    weight /= weight.sum(axis=1, keepdims=True)
    means = CENTRES + SLOPE * WITHIN**2 / total * away
    return (weight[..., None] * means).sum(axis=1)


def data() -> tuple[Pairs, TrainingClips]:
    true, predicted = draw(4000, 0)
    names = np.array([f"c{k}" for k in range(len(true))])
    ones = np.ones(len(true), np.int64)
    found = Pairs(names, np.full(len(true), "s"), ones, predicted, true)
    return found, TrainingClips(PLANE, true)


def test_the_denoiser_learns_the_posterior_mean_of_a_mixture():
    training = {"steps": 1000, "batch_size": 512, "learning_rate": 3e-3}
    options = {"atoms": "clips", "components": 0, "width": 64, "training": training}
    prior = make_prior("denoiser", options).fit(*data())
    true, predicted = draw(400, 1)
    found, expected = prior.apply(predicted), posterior_mean(predicted)
    assert np.sqrt(((found - expected) ** 2).mean()) < 0.12
    linear = np.linalg.lstsq(np.c_[predicted, np.ones(400)], true, rcond=None)[0]
    assert ((found - true) ** 2).mean() < 0.9 * (
        (np.c_[predicted, np.ones(400)] @ linear - true) ** 2
    ).mean()


def test_an_untrained_denoiser_is_the_linear_estimate():
    pairs, clips = data()
    options = {"atoms": "clips", "components": 0, "width": 8, "training": {"steps": 1}}
    prior = make_prior("denoiser", options).fit(pairs, clips)
    with torch.no_grad():
        for parameter in prior.network.network[-1].parameters():
            parameter.zero_()
    predicted = draw(50, 1)[1]
    variance = clips.values.var(axis=0)
    gain = SLOPE * variance / (SLOPE**2 * variance + DEVIATION**2)
    mean = clips.values.mean(axis=0)
    np.testing.assert_allclose(
        prior.apply(predicted), mean + gain * (predicted - SLOPE * mean), atol=0.1
    )


@pytest.mark.slow
@pytest.mark.parametrize("conditions", ["pairs", "simulated"])
def test_draws_of_the_diffusion_prior_are_those_of_the_posterior(conditions):
    options = {
        "conditions": conditions,
        "components": 0,
        "layers": 2,
        "heads": 2,
        "head_dim": 16,
        "drop": 0.0,
        "draws": 100,
        "training": {"steps": 1000, "batch_size": 128, "learning_rate": 2e-3},
    }
    prior = make_prior("diffusion", options).fit(*data())
    predicted = draw(40, 1)[1]
    expected = posterior_mean(predicted)
    found = prior.apply(predicted, seeds=list(range(40)))
    assert np.sqrt(((found - expected) ** 2).mean()) < 0.35
    assert np.corrcoef(found[:, 0], expected[:, 0])[0, 1] > 0.97
    # single draws lie at the two centres, where the mean of an uncertain prediction does not
    middle = np.zeros((60, 2), np.float32) + SLOPE * CENTRES.mean(axis=0).astype(np.float32)
    prior.options = prior.options.model_copy(update={"draws": 1})
    drawn = prior.apply(middle, seeds=list(range(60)))
    assert (np.abs(drawn[:, 0]) > 1).mean() > 0.8
    assert 0.2 < (drawn[:, 0] > 0).mean() < 0.8


def test_a_clips_draw_depends_on_its_seed_alone():
    options = {"conditions": "pairs", "layers": 1, "training": {"steps": 1, "batch_size": 4}}
    prior = make_prior("diffusion", options).fit(*data())
    predicted = draw(2, 1)[1]
    one, two = (prior.apply(predicted, seeds=seeds) for seeds in ([1, 2], [1, 3]))
    np.testing.assert_array_equal(one[0], two[0])
    assert np.abs(one[1] - two[1]).max() > 1e-3


def test_twenty_steps_of_ddim_are_run():
    scheduler = make_scheduler(make_prior("diffusion").options)
    scheduler.set_timesteps(20)
    assert scheduler.timesteps.tolist() == list(range(99, 0, -5))
    assert scheduler.config.prediction_type == "sample"


def test_an_auxiliary_loss_sees_the_rows_of_the_pairs():
    seen = []
    options = {"conditions": "pairs", "layers": 1, "training": {"steps": 2, "batch_size": 4}}
    prior = make_prior("diffusion", options)
    pairs, clips = data()

    def auxiliary(found: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        seen.append((tuple(found.shape), rows))
        return found.mean() * 0

    prior.auxiliary = auxiliary
    prior.fit(pairs, clips)
    assert [shape for shape, _ in seen] == [(4, 1, 2)] * 2
    assert all((rows >= 0).all() and (rows < len(pairs)).all() for _, rows in seen)


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 3))


class InterruptedTrainingError(Exception):
    """A stop in the middle of training."""


def loss_of(module, stop: int | None = None):
    def loss(step: int, generator: torch.Generator) -> torch.Tensor:
        if step == stop:
            raise InterruptedTrainingError
        x = torch.randn(16, 3, generator=generator)
        return torch.nn.functional.mse_loss(module(x), x.flip(1))

    return loss


def test_a_resumed_training_ends_with_the_same_weights(tmp_path):
    options = TrainingOptions(steps=12, save_every=5)
    whole, broken, resumed = network(), network(), network()
    losses = train(whole, loss_of(whole), options, 7, None)
    path = tmp_path / "training.safetensors"
    with pytest.raises(InterruptedTrainingError):
        train(broken, loss_of(broken, stop=8), options, 7, path)
    rest = train(resumed, loss_of(resumed), options, 7, path)
    assert rest == losses[5:]
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name])
    assert not path.exists()


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    path = tmp_path / "training.safetensors"
    module = network()
    with pytest.raises(InterruptedTrainingError):
        train(module, loss_of(module, 8), TrainingOptions(steps=12, save_every=5), 7, path)
    with pytest.raises(ArtifactError, match="another training") as error:
        train(module, loss_of(module), TrainingOptions(steps=20, save_every=5), 7, path)
    assert "delete the checkpoint" in str(error.value)


def test_the_learning_rate_is_that_of_one_cycle():
    options = TrainingOptions(steps=200, warmup=0.1, learning_rate=0.01)
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([parameter], lr=1.0)
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, 0.01, total_steps=200, pct_start=0.1, anneal_strategy="cos"
    )
    for step in range(200):
        found = learning_rate(step, options)
        if step >= 20:
            assert found == pytest.approx(cycle.get_last_lr()[0], abs=1e-4)
        optimiser.step()
        cycle.step()
    assert learning_rate(0, options) == pytest.approx(0.0004)
    assert learning_rate(20, options) == pytest.approx(0.01)
