"""A small space-time transformer that denoises video latents under a text conditioning.

The published systems use UNet3DConditionModel; this transformer has the same call and is what the
embedded text-to-video model is made of, because it learns a simple world in an hour on two cores.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn


def timestep_embedding(timestep: Tensor, dim: int) -> Tensor:
    """Return sinusoids of a diffusion time step, as in "Attention is all you need".

    Parameters
    ----------
    timestep : Tensor, shape (batch,)
        Time steps, 0 to 1000.
    dim : int
        Even width.

    Returns
    -------
    Tensor, shape (batch, dim), float32
    """
    # Frequencies fall geometrically from 1 towards 1 / 10,000.
    rates = torch.exp(
        -math.log(10000.0) * torch.arange(dim // 2, device=timestep.device) / (dim // 2)
    )
    angles = timestep.float()[:, None] * rates[None]
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


class Attention(nn.Module):
    """Multi-head attention of ``x`` to ``context`` (or to itself)."""

    def __init__(self, dim: int, heads: int, context_dim: int | None = None) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(context_dim or dim, 2 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Map (batch, token, dim) to the same shape."""
        context = x if context is None else context
        batch, tokens, dim = x.shape
        # (batch, token, dim) -> (batch, head, token, dim of a head)
        query = self.query(x).view(batch, tokens, self.heads, -1).transpose(1, 2)
        # keys and values by one projection: (batch, token, 2, head, dim of a head)
        key_value = self.key_value(context).view(batch, context.shape[1], 2, self.heads, -1)
        key, value = key_value.permute(2, 0, 3, 1, 4)
        # plain products: on a CPU their backward pass is several times faster than the fused one
        weight = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
        mixed = weight.softmax(-1).to(value.dtype) @ value
        return self.out(mixed.transpose(1, 2).reshape(batch, tokens, dim))


class SquaredReLU(nn.Module):
    """max(x, 0)^2 (So et al. 2021): as good as GELU here and cheaper."""

    def forward(self, x: Tensor) -> Tensor:
        """Map any shape to the same."""
        return nn.functional.relu(x).square()


class Block(nn.Module):
    """Self-attention over space and time, attention to the text, and an MLP.

    Shift, scale and gate come from the time step and the pooled text, by one projection that all
    blocks share and an offset of each block's own (adaLN-single, Chen et al. 2023).
    """

    def __init__(self, dim: int, heads: int, text_dim: int) -> None:
        super().__init__()
        self.norm_self = nn.LayerNorm(dim, elementwise_affine=False)
        self.attend_self = Attention(dim, heads)
        self.norm_text = nn.LayerNorm(dim)
        self.attend_text = Attention(dim, heads, text_dim)
        self.norm_mlp = nn.LayerNorm(dim, elementwise_affine=False)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), SquaredReLU(), nn.Linear(4 * dim, dim))
        self.offset = nn.Parameter(torch.zeros(6, dim))
        nn.init.zeros_(self.attend_text.out.weight)

    def forward(self, x: Tensor, modulation: Tensor, text: Tensor) -> Tensor:
        """Map tokens (batch, token, dim) under a modulation (batch, 6, dim) and text tokens."""
        # (batch, 6, dim) -> six of (batch, 1, dim), which broadcast over tokens
        shift1, scale1, gate1, shift2, scale2, gate2 = (modulation + self.offset)[
            :, :, None
        ].unbind(1)
        # each branch is added to the tokens: attention among them, to the text, and an MLP
        x = x + gate1 * self.attend_self(self.norm_self(x) * (1 + scale1) + shift1)
        x = x + self.attend_text(self.norm_text(x), text)
        return x + gate2 * self.mlp(self.norm_mlp(x) * (1 + scale2) + shift2)


class SpaceTimeTransformer(ModelMixin, ConfigMixin):
    """Predict noise, velocity or sample from noisy latents, a time step and text tokens.

    Tokens are patches of space and time. With ``local`` channels, convolutions over each frame
    stand before and behind the transformer, with a path past it: the transformer decides what is
    where, and the convolutions draw its outline.

    Parameters
    ----------
    in_channels : int
        Latent channels.
    frames, height, width : int
        The latents' size; positions are learnt for it.
    patch, patch_frames : int
        Side of a square patch, and frames of it, that become one token.
    dim, layers, heads : int
        Width, depth and attention heads.
    text_dim, text_tokens : int
        The conditioning's size.
    local : int
        Channels of the convolutions; 0 for none.
    """

    @register_to_config
    def __init__(
        self,
        in_channels: int = 4,
        frames: int = 8,
        height: int = 8,
        width: int = 8,
        patch: int = 2,
        patch_frames: int = 2,
        dim: int = 256,
        layers: int = 6,
        heads: int = 4,
        text_dim: int = 64,
        text_tokens: int = 16,
        local: int = 0,
    ) -> None:
        super().__init__()
        self.patch, self.patch_frames = patch, patch_frames
        values = (local or in_channels) * patch_frames * patch * patch
        tokens = (frames // patch_frames) * (height // patch) * (width // patch)
        self.embed = nn.Linear(values, dim)
        self.position = nn.Parameter(torch.randn(1, tokens, dim) * 0.02)
        self.time = nn.Sequential(nn.Linear(dim, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.text_norm = nn.LayerNorm(text_dim)
        self.text_pool = nn.Linear(text_dim * text_tokens, dim)
        self.modulation = nn.Linear(dim, 6 * dim)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)
        self.blocks = nn.ModuleList(Block(dim, heads, text_dim) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, values)
        if local:
            self.stem = nn.Conv2d(in_channels, local, 3, padding=1)
            self.refine = nn.Conv2d(2 * local, 2 * local, 3, padding=1)
            self.out = nn.Conv2d(2 * local, in_channels, 3, padding=1)
        # The last layer starts at zero, so that the untrained model returns zeros.
        last = self.out if local else self.head
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(
        self, hidden_states: Tensor, timestep: Tensor, encoder_hidden_states: Tensor
    ) -> Tensor:
        """Return the model's output for noisy latents.

        Parameters
        ----------
        hidden_states : Tensor, shape (batch, channel, frame, height, width)
            Noisy latents.
        timestep : Tensor, shape (batch,) or ()
            Diffusion time step, 0 to 1000, on any device.
        encoder_hidden_states : Tensor, shape (batch, token, text_dim)
            Text conditioning.

        Returns
        -------
        Tensor
            Same shape as ``hidden_states``.
        """
        batch, _, frames, height, width = hidden_states.shape
        # Convolutions of each frame, whose output also bypasses the transformer.
        x = hidden_states
        if self.config.local:
            x = fine = self._by_frame(self.stem, hidden_states)
        channels = x.shape[1]
        p, q = self.patch, self.patch_frames
        times, rows, columns = frames // q, height // p, width // p
        # (B, C, F, h, w) -> (B, times * rows * columns, C * q * p * p)
        x = x.reshape(batch, channels, times, q, rows, p, columns, p)
        x = x.permute(0, 2, 4, 6, 1, 3, 5, 7).reshape(batch, times * rows * columns, -1)
        x = self.embed(x) + self.position
        # One modulation from the time step and the pooled text, shared by all blocks: (batch, 6,
        # dim).
        text = self.text_norm(encoder_hidden_states)
        timestep = timestep.to(x.device).expand(batch)  # schedulers keep theirs on the CPU
        condition = self.time(timestep_embedding(timestep, self.config.dim).to(x.dtype))
        condition = nn.functional.silu(condition + self.text_pool(text.flatten(1)))
        modulation = self.modulation(condition).unflatten(-1, (6, -1))
        for block in self.blocks:
            x = block(x, modulation, text)
        x = self.head(self.norm(x))
        # (B, times * rows * columns, C * q * p * p) -> (B, C, F, h, w)
        x = x.reshape(batch, times, rows, columns, channels, q, p, p)
        x = x.permute(0, 4, 1, 5, 2, 6, 3, 7).reshape(batch, channels, frames, height, width)
        if self.config.local:
            # The transformer's layout and the fine features give the outline.
            x = self._by_frame(self._draw, torch.cat([fine, x.to(fine.dtype)], dim=1))
        return x

    def _draw(self, x: Tensor) -> Tensor:
        x = nn.functional.silu(x)
        return self.out(nn.functional.silu(self.refine(x)))

    @staticmethod
    def _by_frame(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Apply a function of images to each frame of (batch, channel, frame, height, width)."""
        batch, _, frames = x.shape[:3]
        # (B, C, F, h, w) -> (B * F, C, h, w), channels last in memory
        flat = x.transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        return function(flat).unflatten(0, (batch, frames)).transpose(1, 2)
