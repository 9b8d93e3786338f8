"""Generators: a LightningModule each, whose ``predict_step`` turns regressed vectors into clips."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from brainflix.config.recipe import GenerationConfig
from brainflix.errors import DataError
from brainflix.generation.denoisers import as_function, check_fit
from brainflix.generation.options import DiffusionOptions, VideoToVideoOptions
from brainflix.generation.sampler import Sampler, clip_noise
from brainflix.models.pretrained import load_denoiser, load_scheduler
from brainflix.models.text_encoder import TextEncoder
from brainflix.models.video_vae import VideoVAE

Batch = dict[str, Any]
"""Some clips to generate: ``index`` and ``seed``, int64 (clip,), and each connected input by name.

Targets are float32 tensors (clip, ...), captions a list of str, clips of another generator uint8
(clip, frame, height, width, 3). For a generator that follows films, ``previous`` holds the clip
before, uint8 (clip, frame, height, width, 3), and ``has_previous`` tells which clips have one.
"""


class Generator(LightningModule):
    """Turns a batch of inputs into clips.

    What a generator takes is declared by its options: see
    :class:`brainflix.config.recipe.NodeConfig`.

    Parameters
    ----------
    options : GenerationConfig
        The section of the component: an instance of its own options.
    shape : (int, int, int)
        Frames, height and width of a clip.
    negative : Tensor, shape (token, dim), optional
        The training mean of the conditioning, where the options ask for it as negative.
    """

    def __init__(
        self,
        options: GenerationConfig,
        shape: tuple[int, int, int],
        negative: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.options, self.clip_shape = options, shape

    @abstractmethod
    def predict_step(self, batch: Batch, batch_idx: int = 0) -> dict[str, Any]:
        """Return {"index": (clip,), "frames": uint8 (clip, frame, height, width, 3)}."""


class DiffusionGenerator(Generator):
    """A text-to-video model's parts, a sampler, and what a subclass starts from.

    Parameters
    ----------
    options : DiffusionOptions
        Model, steps, guidance and scheduler.
    shape : (int, int, int)
        Frames, height and width of a clip.
    negative : Tensor, shape (token, dim), optional
        Negative conditioning of the guidance; None for the encoding of the empty caption.
    """

    options: DiffusionOptions

    def __init__(
        self,
        options: DiffusionOptions,
        shape: tuple[int, int, int],
        negative: Tensor | None = None,
    ) -> None:
        super().__init__(options, shape)
        scheduler = load_scheduler(options.model, options.scheduler)
        self.sampler = Sampler(scheduler, options.steps, options.guidance)
        self.text_encoder = TextEncoder.from_pretrained(options.model)
        self.vae = VideoVAE.from_pretrained(options.model)
        self.denoiser = load_denoiser(options.model)
        self.latent_shape = self.vae.latent_shape(*shape)
        empty = self.text_encoder.encode([""])[0].clone()
        self.empty = empty
        self.negative = empty if negative is None else negative.float()
        self._check()

    def _check(self) -> None:
        check_fit(self.denoiser, self.latent_shape, self.empty.shape, self.options.model)
        if self.negative.shape != self.empty.shape:
            raise DataError(
                "the negative conditioning does not fit the model",
                expected=tuple(self.empty.shape),
                found=tuple(self.negative.shape),
                where="generation.negative",
            )

    @abstractmethod
    def start(self, batch: Batch, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sample to start from and the time steps to run."""

    def conditioning(self, batch: Batch) -> Tensor:
        """Return a batch's conditioning (clip, token, dim): regressed, or encoded captions."""
        if "caption" in batch:
            return self.text_encoder.encode(batch["caption"])
        if "conditioning" in batch:
            given = batch["conditioning"]
            if given.shape[1:] != self.empty.shape:
                raise DataError(
                    "the conditioning does not fit the model",
                    expected=f"(token, dim) = {tuple(self.empty.shape)}",
                    found=tuple(given.shape[1:]),
                    where="generation.inputs.conditioning",
                    remedy="encode that target by the text encoder of generation.model",
                )
            return given
        return self.empty.to(self.device).expand(len(batch["index"]), -1, -1)

    @torch.inference_mode()
    def sample(self, batch: Batch) -> Tensor:
        """Return clean latents (clip, channel, frame, h, w)."""
        generators = [torch.Generator().manual_seed(int(seed)) for seed in batch["seed"]]
        noise = clip_noise(generators, self.latent_shape).to(self.device)
        conditioning = self.conditioning(batch).to(self.device, torch.float32)
        negative = self.negative.to(self.device).expand(len(noise), -1, -1)
        sample, times = self.start(batch, noise)
        denoise = as_function(self.denoiser)
        return self.sampler.run(denoise, sample, times, conditioning, negative, generators)

    def predict_step(self, batch: Batch, batch_idx: int = 0) -> dict[str, Any]:
        """Return {"index": (clip,), "frames": uint8 (clip, frame, height, width, 3)}."""
        return {"index": batch["index"], "frames": self.vae.decode(self.sample(batch))}


class TextToVideo(DiffusionGenerator):
    """Pure noise, denoised under the regressed conditioning."""

    def start(self, batch: Batch, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Start from noise and run all steps."""
        times = self.sampler.timesteps(device=self.device)
        return self.sampler.start(noise, times), times


class VideoToVideo(DiffusionGenerator):
    """Regressed latents, re-noised to ``strength`` and denoised (Meng et al. 2022, SDEdit).

    At strength 1 the latents have no say: the start is pure noise.
    """

    options: VideoToVideoOptions

    def start(self, batch: Batch, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Start at the noise level of the first step that ``strength`` leaves."""
        latents = batch["latents"].to(self.device, torch.float32)
        if latents.shape != noise.shape:
            raise DataError(
                "the latents do not fit the model and the clips",
                expected=f"(channel, frame, h, w) = {tuple(noise.shape[1:])}",
                found=tuple(latents.shape[1:]),
                where="generation.inputs.latents",
            )
        strength = self.options.strength
        times = self.sampler.timesteps(strength, device=self.device)
        return self.sampler.start(noise, times, None if strength == 1 else latents), times
