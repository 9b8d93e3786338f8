"""Sampling by a diffusion model: start, steps and classifier-free guidance, over any scheduler.

The sampler knows no network, only a function (latents, time step, conditioning) -> output, so that
its arithmetic can be tested against closed forms.

It is our own because no pipeline of diffusers takes what a recipe needs: regressed conditioning in
place of text, a start from given latents at a strength, in batches, and a seed for each clip. Where
they overlap (text-to-video and AnimateDiff; DDIM, DPM-Solver++, PNDM, Euler) its results were found
bit-equal to theirs.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from brainflix.errors import ConfigError
from brainflix.generation.denoisers import Denoise


def clip_seed(seed: int, clip: str) -> int:
    """Return the seed of one clip: the same on every machine, in every batch and order."""
    digest = hashlib.sha256(f"{seed}/{clip}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def clip_noise(generators: Sequence[torch.Generator], shape: Sequence[int]) -> Tensor:
    """Draw standard normal noise (clip, \\*shape), float32, a clip from its own generator."""
    draws = [torch.randn(tuple(shape), generator=g, dtype=torch.float32) for g in generators]
    return torch.stack(draws)


def steps_to_run(steps: int, strength: float) -> int:
    """Return how many of ``steps`` are run at a strength in (0, 1]: the nearest, at least one."""
    if not 0 < strength <= 1:
        raise ConfigError("impossible strength", expected="more than 0, at most 1", found=strength)
    return max(1, round(steps * strength))


class Sampler:
    """A scheduler with a number of steps and a guidance scale.

    Parameters
    ----------
    scheduler : diffusers scheduler
        Its configuration says what the denoiser predicts (epsilon, v_prediction, sample, ...).
    steps : int
        Steps from pure noise to a clip.
    guidance : float
        Scale of classifier-free guidance, ``neg + scale * (cond - neg)`` (Ho and Salimans 2022).
        At 1 or less there is none, and no second pass.
    """

    def __init__(self, scheduler: Any, steps: int, guidance: float) -> None:
        self.scheduler, self.steps, self.guidance = scheduler, steps, guidance
        longest = int(scheduler.config.num_train_timesteps)
        if steps > longest:
            raise ConfigError(
                "more sampling steps than the model was trained for",
                expected=f"at most {longest}",
                found=steps,
                where="generation.steps",
            )
        self._takes_generator = "generator" in inspect.signature(scheduler.step).parameters

    def timesteps(self, strength: float = 1.0, device: Any = None) -> Tensor:
        """Prepare the scheduler and return the time steps that are run, in order.

        A strength below one leaves out the first ones: what remains starts at the noise level of
        the first step returned.
        """
        self.scheduler.set_timesteps(self.steps, device=device)
        times = torch.unique_consecutive(self.scheduler.timesteps)
        begin = len(times) - steps_to_run(len(times), strength)
        times = times[begin:]
        if hasattr(self.scheduler, "set_begin_index"):
            self.scheduler.set_begin_index(begin)
        if hasattr(self.scheduler, "plms_timesteps") and len(times) > 1:
            # PNDM takes its second step twice (Heun); diffusers repeats it only when it starts at
            # the top, so the repetition is put where this run starts
            times = torch.cat([times[:2], times[1:]])
        return times

    def start(self, noise: Tensor, times: Tensor, latents: Tensor | None = None) -> Tensor:
        """Return the sample to start from: pure noise, or latents brought to the first noise level.

        Parameters
        ----------
        noise : Tensor, shape (batch, channel, frame, h, w)
            Standard normal.
        times : Tensor
            What :meth:`timesteps` returned.
        latents : Tensor, same shape, optional
            Clean latents; None for pure noise.
        """
        if latents is None:
            return noise * self.scheduler.init_noise_sigma
        return self.scheduler.add_noise(latents, noise, times[:1].expand(len(latents)))

    def run(
        self,
        denoise: Denoise,
        sample: Tensor,
        times: Tensor,
        conditioning: Tensor,
        negative: Tensor,
        generators: Sequence[torch.Generator] = (),
    ) -> Tensor:
        """Denoise a sample along ``times``.

        Parameters
        ----------
        denoise : callable
            Maps (latents, time step, conditioning) to what the model predicts.
        sample : Tensor, shape (batch, channel, frame, h, w)
            What :meth:`start` returned.
        times : Tensor
            What :meth:`timesteps` returned.
        conditioning, negative : Tensor, shape (batch, token, dim)
            What the clip shall show, and the other end of guidance.
        generators : sequence of torch.Generator
            A clip's own noise, for schedulers that add some at each step.

        Returns
        -------
        Tensor
            Clean latents, same shape as ``sample``.
        """
        guided = self.guidance > 1
        text = torch.cat([negative, conditioning]) if guided else conditioning
        extra = {"generator": list(generators)} if self._takes_generator and generators else {}
        for time in times:
            scaled = self.scheduler.scale_model_input(sample, time)
            output = denoise(torch.cat([scaled, scaled]) if guided else scaled, time, text)
            if guided:
                without, with_text = output.chunk(2)
                output = without + self.guidance * (with_text - without)
            sample = self.scheduler.step(output, time, sample, **extra).prev_sample
        return sample
