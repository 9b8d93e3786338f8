"""Generators: a LightningModule each, whose ``predict_step`` turns regressed vectors into clips."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, TypedDict

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from brainflix.components import Registry
from brainflix.config.recipe import GenerationConfig
from brainflix.errors import ConfigError, DataError
from brainflix.generation.denoisers import as_function, check_fit
from brainflix.generation.sampler import Sampler, clip_noise
from brainflix.models.pretrained import load_denoiser, load_scheduler
from brainflix.models.text_encoder import TextEncoder
from brainflix.models.video_vae import VideoVAE


class Batch(TypedDict, total=False):
    """Some clips to generate.

    ``index`` (clip,) and ``seed`` (clip,) int64 are always there. ``conditioning`` (clip, token,
    dim) or ``caption`` (a list of str) says what is to be seen; neither means anything.
    ``latents`` (clip, channel, frame, h, w) is where video-to-video starts.
    """

    index: Tensor
    seed: Tensor
    conditioning: Tensor
    caption: list[str]
    latents: Tensor


class VideoGenerator(LightningModule):
    """A text-to-video model's parts, a sampler, and what a subclass starts from.

    Parameters
    ----------
    options : GenerationConfig
        Model, steps, guidance, strength and scheduler.
    shape : (int, int, int)
        Frames, height and width of a clip.
    negative : Tensor, shape (token, dim), optional
        The other end of guidance; None for the encoding of the empty caption.
    """

    uses_latents = False
    needs_conditioning = False

    def __init__(
        self,
        options: GenerationConfig,
        shape: tuple[int, int, int],
        negative: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.options = options
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
                    where="generation.conditioning",
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


GENERATORS: Registry[type[VideoGenerator]] = Registry("generator")


class TextToVideo(VideoGenerator):
    """Pure noise, denoised under the regressed conditioning."""

    needs_conditioning = True

    def start(self, batch: Batch, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Start from noise and run all steps."""
        times = self.sampler.timesteps(device=self.device)
        return self.sampler.start(noise, times), times


class VideoToVideo(VideoGenerator):
    """Regressed latents, re-noised to ``strength`` and denoised (Meng et al. 2022, SDEdit).

    At strength 1 the latents have no say: the start is pure noise.
    """

    uses_latents = True

    def start(self, batch: Batch, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Start at the noise level of the first step that ``strength`` leaves."""
        latents = batch["latents"].to(self.device, torch.float32)
        if latents.shape != noise.shape:
            raise DataError(
                "the latents do not fit the model and the clips",
                expected=f"(channel, frame, h, w) = {tuple(noise.shape[1:])}",
                found=tuple(latents.shape[1:]),
                where="generation.latents",
            )
        strength = self.options.strength
        times = self.sampler.timesteps(strength, device=self.device)
        return self.sampler.start(noise, times, None if strength == 1 else latents), times


def required_targets(options: GenerationConfig) -> Sequence[str]:
    """Return the targets that a section's generator takes.

    Raises
    ------
    ConfigError
        When the generator needs one that the section does not name.
    """
    generator = GENERATORS[options.path]
    if generator.needs_conditioning and not (options.conditioning or options.captions):
        raise ConfigError(
            f"{options.path} needs to know what to show",
            expected="generation.conditioning or generation.captions",
            found="neither",
        )
    if generator.uses_latents and options.latents is None:
        raise ConfigError(
            f"{options.path} needs latents", expected="generation.latents", found="none"
        )
    text = options.captions or options.conditioning
    return [name for name in (text, options.latents if generator.uses_latents else None) if name]
