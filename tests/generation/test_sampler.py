"""The sampler against closed forms: data that is one point, and data that is Gaussian.

For Gaussian data N(mu, s^2) the best prediction and the solution of the probability flow are known:
a sample at noise level (a, b), that is a x0 + b noise, is carried to
mu + s (x - a mu) / sqrt(a^2 s^2 + b^2)   (Song et al. 2021).
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from brainflix.errors import ConfigError
from brainflix.generation.sampler import Sampler, clip_noise, clip_seed, steps_to_run
from brainflix.models.pretrained import SCHEDULERS, make_scheduler

SHAPE = (4, 3, 2, 2)
DETERMINISTIC = [
    "DDIMScheduler",
    "DPMSolverMultistepScheduler",
    "EulerDiscreteScheduler",
    "PNDMScheduler",
    "UniPCMultistepScheduler",
]
SCHEDULES = {
    # Stable Diffusion's and zeroscope's
    "scaled_linear": {
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "steps_offset": 1,
        "set_alpha_to_one": False,
    },
    # the embedded model's, whose last step is pure noise
    "cosine": {"beta_schedule": "squaredcos_cap_v2", "timestep_spacing": "trailing"},
}


def levels(time, schedule="scaled_linear"):
    """Return a and b at a time step, from the definition of the schedule."""
    if schedule == "cosine":
        part = np.arange(1001) / 1000
        curve = np.cos((part + 0.008) / 1.008 * np.pi / 2) ** 2
        betas = np.minimum(1 - curve[1:] / curve[:-1], 0.999)
    else:
        betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    product = float(np.cumprod(1 - betas)[round(float(time))])
    return product**0.5, (1 - product) ** 0.5


def sampler(
    name="DDIMScheduler", steps=20, guidance=1.0, prediction="epsilon", schedule="scaled_linear"
):
    config = {**SCHEDULES[schedule], "prediction_type": prediction}
    return Sampler(make_scheduler(config, name), steps, guidance)


def best_denoiser(mean, deviation, prediction, calls=None, schedule="scaled_linear"):
    """Return the best predictor for data N(mean, deviation^2)."""

    def denoise(x, time, text):
        if calls is not None:
            calls.append((float(time), len(x)))
        a, b = levels(time, schedule)
        total = a * a * deviation**2 + b * b
        clean = mean + a * deviation**2 / total * (x - a * mean)
        noise = (x - a * clean) / b
        return noise if prediction == "epsilon" else a * noise - b * clean

    return denoise


def run(sampler, denoise, start=None, strength=1.0, seed=0, batch=2):
    generators = [torch.Generator().manual_seed(seed + k) for k in range(batch)]
    noise = clip_noise(generators, SHAPE)
    times = sampler.timesteps(strength)
    first = sampler.start(noise, times, start)
    text = torch.zeros(batch, 5, 6)
    return sampler.run(denoise, first, times, text, text, generators), times, noise


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("name", sorted(SCHEDULERS))
def test_data_of_one_point_is_found(name, prediction):
    mean = torch.linspace(-2.0, 2.0, 48).reshape(SHAPE)  # outside of -1 to 1, as latents are
    for schedule in SCHEDULES:
        denoise = best_denoiser(mean, 0.0, prediction, schedule=schedule)
        made, _, _ = run(sampler(name, 20, prediction=prediction, schedule=schedule), denoise)
        torch.testing.assert_close(made, mean.expand_as(made), atol=0.15, rtol=0.0)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("name", DETERMINISTIC)
@pytest.mark.parametrize(
    ("strength", "schedule"),
    [(1.0, "scaled_linear"), (0.6, "scaled_linear"), (1.0, "cosine"), (0.6, "cosine")],
)
def test_gaussian_data_follows_the_probability_flow(name, prediction, strength, schedule):
    mean, deviation = 0.7, 0.5
    start = None if strength == 1 else torch.full((2, *SHAPE), -0.4)
    denoise = best_denoiser(mean, deviation, prediction, schedule=schedule)
    model = sampler(name, 200, prediction=prediction, schedule=schedule)
    made, times, noise = run(model, denoise, start, strength)
    a, b = levels(times[0], schedule)
    first = noise if start is None else a * start + b * noise
    scale = deviation / (a * a * deviation**2 + b * b) ** 0.5
    expected = mean + scale * (first - a * mean)
    assert (made - expected).abs().max() < 0.04
    assert expected.std() > 0.2


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_strength_sets_the_number_of_steps_and_the_first_noise_level(name):
    for strength, steps in ((1.0, 20), (0.8, 16), (0.33, 7), (0.05, 1), (0.01, 1)):
        calls = []
        model = sampler(name)
        start = torch.full((2, *SHAPE), 2.0)
        run(model, best_denoiser(0.0, 1.0, "epsilon", calls), start, strength)
        unique = sorted({time for time, _ in calls}, reverse=True)
        assert len(unique) == steps == steps_to_run(20, strength)
        assert len(calls) == steps + (name == "PNDMScheduler" and steps > 1)  # Heun's second call
        every = [float(time) for time in torch.unique_consecutive(model.timesteps(1.0))]
        assert unique == every[-steps:]
        # the start is a * latents + b * noise at that very time step
        times = model.timesteps(strength)
        a, b = levels(times[0])
        noise = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(5))
        first = model.start(noise, times, start)
        first = model.scheduler.scale_model_input(first, times[0])  # Euler keeps x / a
        torch.testing.assert_close(first, a * start + b * noise, atol=1e-2, rtol=0.0)


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_the_first_time_step_falls_with_strength(name):
    model = sampler(name, 50)
    first = [float(model.timesteps(s)[0]) for s in (1.0, 0.8, 0.6, 0.4, 0.2, 0.02)]
    assert first == sorted(first, reverse=True)
    assert len(set(first)) == 6
    assert first[0] > 950
    assert first[-1] < 30


@pytest.mark.parametrize("name", sorted(SCHEDULERS))
def test_a_small_strength_returns_the_latents(name):
    start = torch.linspace(-2, 2, 96).reshape(2, *SHAPE)
    exact = best_denoiser(start, 0.03, "epsilon")
    made, _, _ = run(sampler(name, 50), exact, start, 0.02)
    assert (made - start).abs().max() < 0.15


@pytest.mark.parametrize("guidance", [0.0, 1.0])
def test_without_guidance_there_is_one_pass(guidance):
    calls = []
    run(sampler(steps=5, guidance=guidance), best_denoiser(0.0, 1.0, "epsilon", calls))
    assert [size for _, size in calls] == [2] * 5


def test_guidance_extrapolates_from_the_negative():
    seen = []

    def denoise(x, time, text):
        seen.append((len(x), text[:, 0, 0].tolist()))
        return text[:, :1, :1, None, None].expand_as(x)  # predicts its conditioning

    def plain(x, time, text):
        return torch.full_like(x, -1.0 + 3.0 * (2.0 - -1.0))

    noise = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(0))
    positive, negative = torch.full((2, 5, 6), 2.0), torch.full((2, 5, 6), -1.0)
    guided, single = sampler(steps=4, guidance=3.0), sampler(steps=4)
    times = guided.timesteps()
    made = guided.run(denoise, guided.start(noise, times), times, positive, negative)
    assert seen == [(4, [-1.0, -1.0, 2.0, 2.0])] * 4
    times = single.timesteps()
    expected = single.run(plain, single.start(noise, times), times, positive, negative)
    torch.testing.assert_close(made, expected)


@pytest.mark.parametrize("name", sorted(SCHEDULERS))
def test_a_clip_does_not_depend_on_its_batch(name):
    denoise = best_denoiser(0.3, 0.5, "epsilon")
    model = sampler(name, 10)
    batch, _, _ = run(model, denoise, seed=40, batch=3)
    for k in range(3):
        alone, _, _ = run(model, denoise, seed=40 + k, batch=1)
        torch.testing.assert_close(alone[0], batch[k], atol=1e-6, rtol=1e-5)


def test_a_clip_s_seed_is_the_same_everywhere():
    assert clip_seed(0, "clip-1") == 2448426030075646694  # half of SHA-256's first eight bytes
    seeds = {clip_seed(seed, clip) for seed in range(3) for clip in ("a", "b", "a/b", "")}
    assert len(seeds) == 12
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert clip_seed(3, "a") == clip_seed(3, "a")


def test_impossible_settings_are_refused():
    with pytest.raises(ConfigError, match="strength"):
        steps_to_run(20, 0.0)
    with pytest.raises(ConfigError, match="more sampling steps"):
        sampler(steps=1001)
