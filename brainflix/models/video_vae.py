"""An image VAE applied to each frame of a clip, with the generator's scaling of its latents."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from brainflix.errors import ModelError
from brainflix.models.pretrained import AUTOENCODERS, load_part, resolve


class VideoVAE(nn.Module):
    """AutoencoderKL between frames and scaled latents (clip, channel, frame, h, w).

    Scaled means what the denoiser was trained on: ``(z - shift) * scaling_factor``, with the VAE's
    ``latents_mean`` and ``latents_std`` where its configuration has them.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        # on a CPU, convolutions cost a quarter less with the channels last, half in bfloat16
        self.model = model.to(memory_format=torch.channels_last)
        config = model.config
        self.channels = int(config.latent_channels)
        self.factor = 2 ** (len(config.block_out_channels) - 1)
        shift, scale = _affine(config)  # no buffers: those would follow the model to bfloat16
        self.shift, self.scale = shift.view(1, -1, 1, 1), scale.view(1, -1, 1, 1)

    @classmethod
    def from_pretrained(cls, name: str) -> VideoVAE:
        """Load ``vae/`` of a folder, hub id or ``embedded:NAME``."""
        return cls(load_part(resolve(name), AUTOENCODERS, "vae"))

    def latent_shape(self, frames: int, height: int, width: int) -> tuple[int, int, int, int]:
        """Return (channel, frame, h, w) of a clip's latents."""
        return self.channels, frames, height // self.factor, width // self.factor

    @torch.inference_mode()
    def encode(self, clips: Tensor, chunk: int = 32) -> Tensor:
        """Return the mean of the posterior, scaled.

        Parameters
        ----------
        clips : Tensor of uint8, shape (clip, frame, height, width, 3)
        chunk : int
            Frames at a time.

        Returns
        -------
        Tensor, shape (clip, channel, frame, h, w), float32
        """
        count, frames = clips.shape[:2]
        shift, scale = self.shift.to(self.model.device), self.scale.to(self.model.device)
        parts = []
        for part in clips.flatten(0, 1).split(chunk):
            # (frame, height, width, 3) bytes -> (frame, 3, height, width) in -1 to 1
            x = part.to(scale.device).permute(0, 3, 1, 2)
            x = x.to(self.model.dtype, memory_format=torch.channels_last) / 127.5 - 1.0
            mean = self.model.encode(x).latent_dist.mean.float()
            parts.append((mean - shift) * scale)
        # (clip * frame, channel, h, w) -> (clip, channel, frame, h, w)
        return torch.cat(parts).unflatten(0, (count, frames)).transpose(1, 2).contiguous()

    @torch.inference_mode()
    def decode(self, latents: Tensor, chunk: int = 32) -> Tensor:
        """Turn scaled latents (clip, channel, frame, h, w) into frames.

        Returns
        -------
        Tensor of uint8, shape (clip, frame, height, width, 3)
        """
        count, frames = latents.shape[0], latents.shape[2]
        shift, scale = self.shift.to(self.model.device), self.scale.to(self.model.device)
        parts = []
        for part in latents.transpose(1, 2).flatten(0, 1).split(chunk):
            # Undo the generator's scaling: (frame, channel, h, w) as the VAE was trained.
            z = part.to(scale.device) / scale + shift
            z = z.to(self.model.dtype, memory_format=torch.channels_last)
            x = self.model.decode(z).sample.float()
            # -1 to 1 -> bytes, (frame, 3, height, width) -> (frame, height, width, 3)
            x = ((x + 1.0) * 127.5).round_().clamp_(0, 255).to(torch.uint8)
            parts.append(x.permute(0, 2, 3, 1))
        return torch.cat(parts).unflatten(0, (count, frames))


def _affine(config: Any) -> tuple[Tensor, Tensor]:
    """Return shift and scale of each channel such that scaled = (z - shift) * scale."""
    channels = int(config.latent_channels)
    scale = torch.full((channels,), float(config.scaling_factor))
    shift = torch.zeros(channels)
    mean, std = getattr(config, "latents_mean", None), getattr(config, "latents_std", None)
    if mean is not None and std is not None:
        if len(mean) != channels or len(std) != channels:
            raise ModelError(
                "the VAE's latents_mean or latents_std does not fit its latents",
                expected=f"{channels} values",
                found=f"{len(mean)} and {len(std)}",
            )
        return torch.tensor(mean, dtype=torch.float32), scale / torch.tensor(std)
    if getattr(config, "shift_factor", None) is not None:
        shift = torch.full((channels,), float(config.shift_factor))
    return shift, scale
