"""The prior ``diffusion``: draws from the posterior by a diffusion model of the target's tokens.

After DALL-E 2 (Ramesh et al. 2022, section 2.2) and its use on brain data by MindEye and
NeuroClips: a transformer sees the regressed tokens, the time and the noised tokens, and predicts
the clean ones. The transformer is that of diffusers, with plain attention and multilayer
perceptron, where NeuroClips has one shared key and value head, cosine attention, rotary positions
and SwiGLU.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from brainflix.artifacts.stimuli import Array
from brainflix.prior.base import Prior
from brainflix.prior.data import Encode, Pairs, Tensors, TrainingClips
from brainflix.prior.denoiser import set_weights
from brainflix.prior.noise import observe
from brainflix.prior.options import DiffusionPriorOptions, PriorOptions
from brainflix.prior.simulated import SimulatedPredictions, atom_scores
from brainflix.prior.training import train

Auxiliary = Callable[[Tensor, Tensor], Tensor]
"""Predicted clean tokens (batch, token, dim) and rows of the pairs (batch,) to a further loss."""


class TokenDiffusion(nn.Module):
    """Clean tokens from noised tokens, a time step and regressed tokens.

    Parameters
    ----------
    tokens, dim : int
        Of the target.
    options : DiffusionPriorOptions
    """

    def __init__(self, tokens: int, dim: int, options: DiffusionPriorOptions) -> None:
        super().__init__()
        from diffusers import PriorTransformer

        # sequence: condition tokens, a token that holds 1 / repeats, the time, noised tokens; all
        # have positions, without which attention could not tell the condition's tokens apart
        self.transformer = PriorTransformer(
            num_attention_heads=options.heads,
            attention_head_dim=options.head_dim,
            num_layers=options.layers,
            embedding_dim=dim,
            num_embeddings=2 * tokens + 2,
            additional_embeddings=0,
            encoder_hid_proj_type=None,
            added_emb_type=None,
        )
        nn.init.normal_(self.transformer.positional_embedding, std=0.02)
        self.null_condition = nn.Parameter(torch.zeros(tokens + 1, dim))
        self.null_noised = nn.Parameter(torch.zeros(tokens, dim))

    def forward(
        self,
        noised: Tensor,
        time: Tensor,
        condition: Tensor,
        repeats: Tensor,
        kept: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Predict clean tokens.

        Parameters
        ----------
        noised, condition : Tensor, shape (batch, token, dim)
        time, repeats : Tensor, shape (batch,)
        kept : (Tensor, Tensor) of bool, shape (batch,), optional
            Whose condition and whose noised tokens are kept; the others see learned ones.

        Returns
        -------
        Tensor, shape (batch, token, dim)
        """
        level = (1 / repeats)[:, None, None].expand(-1, 1, condition.shape[-1])
        condition = torch.cat([condition, level], dim=1)  # (batch, token + 1, dim)
        if kept is not None:
            condition = torch.where(kept[0][:, None, None], condition, self.null_condition)
            noised = torch.where(kept[1][:, None, None], noised, self.null_noised)
        return self.transformer(noised, time, condition).predicted_image_embedding


def make_scheduler(options: DiffusionPriorOptions) -> Any:
    """Return DDIM on a cosine schedule, for a network that predicts clean tokens.

    With 100 and 20 steps it runs t = 99, 94, ..., 4.
    """
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        options.diffusion_steps,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="sample",
        clip_sample=False,
        timestep_spacing="trailing",
    )


def as_tokens(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return a target's number of tokens and their width; a vector is one token."""
    dim = shape[-1] if shape else 1
    return int(np.prod(shape[:-1], dtype=np.int64)), int(dim)


class Diffusion(Prior):
    """A draw from the posterior, or the mean over draws.

    A clip's noise comes from its own seed, never from its place in a batch.
    """

    kind = "diffusion"
    Options = DiffusionPriorOptions
    options: DiffusionPriorOptions
    auxiliary: Auxiliary | None = None

    def __init__(self, options: PriorOptions) -> None:
        super().__init__(options)
        simulated = self.options.conditions == "simulated"
        self.needs_captions = simulated and self.options.atoms == "pseudo_clips"

    def _fit(self, pairs: Pairs, clips: TrainingClips) -> None:
        options = self.options
        flat = clips.values.reshape(len(clips.values), -1)
        self.mean, self.scale = np.zeros(flat.shape[1:], np.float32), np.ones(1, np.float32)
        if options.standardise:
            self.mean = flat.mean(axis=0, dtype=np.float64).astype(np.float32)
            scale = flat.std(axis=0, dtype=np.float64).astype(np.float32)
            self.scale = np.where(scale > 0, scale, np.float32(1))
        batch = self._batches(pairs, clips)
        self.scheduler = make_scheduler(options)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            self.network = TokenDiffusion(*as_tokens(clips.target.shape), options)
            self.losses = train(
                self.network,
                lambda step, generator: self._loss(*batch(generator), generator),
                options.training,
                options.seed,
                self.checkpoint,
            )

    def _batches(
        self, pairs: Pairs, clips: TrainingClips
    ) -> Callable[[torch.Generator], tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Return what draws a batch: clean tokens, condition, repeats and rows of the pairs."""
        size = self.options.training.batch_size
        if self.options.conditions == "pairs":

            def drawn(generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
                rows = torch.randint(len(pairs), (size,), generator=generator)
                true, predicted = pairs.true[rows.numpy()], pairs.predicted[rows.numpy()]
                repeats = torch.from_numpy(pairs.repeats[rows.numpy()]).float()
                return self._tokens(true), self._tokens(predicted), repeats, rows

            return drawn
        observation, _ = observe(pairs, clips, self.options.components)
        scores = atom_scores(clips, observation, self.options.atoms, self.options.seed)
        data = SimulatedPredictions(torch.from_numpy(scores), observation)

        def simulated(generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
            true, predicted, repeats = data.draw(size, generator)
            vectors = [observation.space.values(part.numpy()) for part in (true, predicted)]
            nowhere = torch.full((size,), -1)
            return self._tokens(vectors[0]), self._tokens(vectors[1]), repeats, nowhere

        return simulated

    def _tokens(self, vectors: Array) -> Tensor:
        """Standardise vectors (batch, ...) and return them as tokens (batch, token, dim)."""
        flat = (vectors.reshape(len(vectors), -1) - self.mean) / self.scale
        return torch.from_numpy(flat).float().view(len(vectors), *as_tokens(vectors.shape[1:]))

    def _loss(
        self,
        true: Tensor,
        condition: Tensor,
        repeats: Tensor,
        rows: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """Return the squared error of clean tokens that are predicted at a random time."""
        batch, drop = len(true), self.options.drop
        time = torch.randint(self.options.diffusion_steps, (batch,), generator=generator)
        noise = torch.randn(true.shape, generator=generator)
        noised = self.scheduler.add_noise(true, noise, time)
        kept = tuple(torch.rand(batch, generator=generator) >= drop for _ in range(2))
        found = self.network(noised, time, condition, repeats, (kept[0], kept[1]))
        loss = nn.functional.mse_loss(found, true)
        return loss if self.auxiliary is None else loss + self.auxiliary(found, rows)

    @torch.inference_mode()
    def _restore(self, prediction: Array, repeats: int, seed: int) -> Array:
        options = self.options
        condition = self._tokens(prediction[None]).expand(options.draws, -1, -1)
        counts = torch.full((options.draws,), float(repeats))
        generator = torch.Generator().manual_seed(seed)
        sample = torch.randn(condition.shape, generator=generator)
        self.scheduler.set_timesteps(options.sampling_steps)
        for time in self.scheduler.timesteps:
            clean = self.network(sample, time.expand(options.draws), condition, counts)
            step = self.scheduler.step(clean, time, sample, eta=options.eta, generator=generator)
            sample = step.prev_sample
        flat = sample.mean(dim=0).reshape(-1).numpy() * self.scale + self.mean
        return flat.reshape(prediction.shape)

    def _state(self) -> tuple[Tensors, dict[str, Any]]:
        weights = {f"network.{k}": v.numpy() for k, v in self.network.state_dict().items()}
        return {"mean": self.mean, "scale": self.scale, **weights}, {}

    def _set_state(self, tensors: Tensors, facts: dict[str, Any], encode: Encode | None) -> None:
        assert self.target is not None
        self.mean, self.scale = tensors["mean"], tensors["scale"]
        self.scheduler = make_scheduler(self.options)
        self.network = TokenDiffusion(*as_tokens(self.target.shape), self.options)
        set_weights(self.network, tensors)
