"""The prior ``denoiser``: a small network that gives the posterior mean."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from brainflix.artifacts.stimuli import Array
from brainflix.prior.base import Prior
from brainflix.prior.data import Encode, Pairs, Tensors, TrainingClips
from brainflix.prior.noise import Observation, observe
from brainflix.prior.options import DenoiserOptions, PriorOptions
from brainflix.prior.simulated import SimulatedPredictions, atom_scores
from brainflix.prior.training import train


class DenoisingNetwork(nn.Module):
    """Posterior mean of scores: a linear estimate plus what a multilayer perceptron adds.

    The linear estimate is the best one for Gaussian scores and noise, with its gain at the given
    repeats; the perceptron starts at zero.

    Parameters
    ----------
    components, width, layers : int
    """

    centre: Tensor
    mean: Tensor
    slope: Tensor
    prior_variance: Tensor
    clip_variance: Tensor
    trial_variance: Tensor

    def __init__(self, components: int, width: int, layers: int) -> None:
        super().__init__()
        for name in ("centre", "mean"):
            self.register_buffer(name, torch.zeros(components))
        for name in ("slope", "prior_variance", "clip_variance", "trial_variance"):
            self.register_buffer(name, torch.ones(components))
        sizes = [components + 1, *[width] * layers]
        parts: list[nn.Module] = []
        for size, following in pairwise(sizes):
            parts += [nn.Linear(size, following), nn.GELU()]
        last = nn.Linear(width, components)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.network = nn.Sequential(*parts, last)

    def set_statistics(self, scores: Array, observation: Observation) -> None:
        """Set the linear estimate from true scores and the noise."""
        noise = observation.noise
        values = {
            "centre": scores.mean(axis=0, dtype=np.float64),
            "prior_variance": scores.var(axis=0, dtype=np.float64),
            "mean": noise.mean,
            "slope": noise.slope,
            "clip_variance": noise.clip_variance,
            "trial_variance": noise.trial_variance,
        }
        for name, value in values.items():
            getattr(self, name).copy_(torch.from_numpy(np.asarray(value)))

    def forward(self, predicted: Tensor, repeats: Tensor) -> Tensor:
        """Map predicted scores (batch, component) of some repeats (batch,) to posterior means."""
        error = self.clip_variance + self.trial_variance / repeats[:, None]
        power = self.slope**2 * self.prior_variance + error
        deviation = predicted - self.mean - self.slope * self.centre
        linear = self.centre + self.slope * self.prior_variance / power * deviation
        standard = deviation / power.sqrt()
        return linear + self.network(torch.cat([standard, 1 / repeats[:, None]], dim=1))


class Denoiser(Prior):
    """Posterior mean by a multilayer perceptron, trained on simulated predictions.

    What minimises the squared error over draws of (true, prediction) is the posterior mean.
    """

    kind = "denoiser"
    Options = DenoiserOptions
    options: DenoiserOptions

    def __init__(self, options: PriorOptions) -> None:
        super().__init__(options)
        self.needs_captions = self.options.atoms == "pseudo_clips"

    def _build(self, components: int) -> DenoisingNetwork:
        return DenoisingNetwork(components, self.options.width, self.options.layers)

    def _fit(self, pairs: Pairs, clips: TrainingClips) -> None:
        options = self.options
        self.observation, _ = observe(pairs, clips, options.components)
        scores = atom_scores(clips, self.observation, options.atoms, options.seed)
        data = SimulatedPredictions(torch.from_numpy(scores), self.observation)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            self.network = self._build(scores.shape[1])
            self.network.set_statistics(scores, self.observation)

            def loss(step: int, generator: torch.Generator) -> Tensor:
                true, predicted, repeats = data.draw(options.training.batch_size, generator)
                return nn.functional.mse_loss(self.network(predicted, repeats), true)

            self.losses = train(self.network, loss, options.training, options.seed, self.checkpoint)

    @torch.inference_mode()
    def _restore(self, prediction: Array, repeats: int, seed: int) -> Array:
        scores = torch.from_numpy(self.observation.scores(prediction)[None]).float()
        restored = self.network(scores, torch.tensor([float(repeats)]))
        return self.observation.vector(restored[0].numpy().astype(np.float64))

    def _state(self) -> tuple[Tensors, dict[str, Any]]:
        weights = {f"network.{k}": v.numpy() for k, v in self.network.state_dict().items()}
        return self.observation.tensors() | weights, {}

    def _set_state(self, tensors: Tensors, facts: dict[str, Any], encode: Encode | None) -> None:
        assert self.target is not None
        self.observation = Observation.of(tensors, self.target.shape)
        self.network = self._build(self.observation.space.components)
        set_weights(self.network, tensors)


def set_weights(network: nn.Module, tensors: Tensors) -> None:
    """Take a network's weights from arrays named ``network.*``, and put it in evaluation mode."""
    prefix = "network."
    network.load_state_dict(
        {
            name.removeprefix(prefix): torch.from_numpy(np.array(value))
            for name, value in tensors.items()
            if name.startswith(prefix)
        }
    )
    network.eval()
