"""The embedded VAE: 64 x 64 frames to 4 x 8 x 8 latents and back."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from brainflix.embedded.data import Pool
from brainflix.embedded.training import Curve, cosine, device, to_pixels
from brainflix.simulation.world import SIZE


def build_vae() -> AutoencoderKL:
    """Return an untrained AutoencoderKL with four latent channels and a factor of eight."""
    channels = (16, 32, 96, 128)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=channels,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=64,
        mid_block_add_attention=False,
        scaling_factor=1.0,
    )


def ssim_loss(x: Tensor, y: Tensor) -> Tensor:
    """1 - SSIM with a uniform 7 x 7 window (Wang et al. 2004) for images in -1 to 1."""
    c1, c2 = 0.02**2, 0.06**2

    def mean(z: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(z, 7, 1)

    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    score = ((2 * mx * my + c1) * (2 * cov + c2)) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return 1 - score.mean()


def train_vae(pool: Pool, steps: int, seed: int, batch: int = 32) -> tuple[AutoencoderKL, Curve]:
    """Train the VAE on random frames: L1 + SSIM + a small KL term.

    The model is convolutional, so most steps see crops of 40 x 40 pixels, which cost less than half
    as much; the last fifth sees whole frames, for the borders.

    Returns
    -------
    AutoencoderKL
        With ``scaling_factor`` set to the inverse deviation of its latents.
    Curve
        The training curve.
    """
    torch.manual_seed(seed)
    vae = build_vae().to(device(), memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW(vae.parameters(), lr=2e-3, weight_decay=1e-4, betas=(0.9, 0.99))
    schedule = cosine(optimiser, steps, warmup=100)
    generator = torch.Generator().manual_seed(seed)
    frames = torch.from_numpy(pool.clips).flatten(0, 1)
    curve = Curve("vae")
    for step in curve.steps(steps):
        index = torch.randint(len(frames), (batch,), generator=generator)
        side = 40 if step < 0.8 * steps else SIZE
        top, left = torch.randint(SIZE - side + 1, (2,), generator=generator).tolist()
        x = to_pixels(frames[index, top : top + side, left : left + side])
        with torch.autocast(device().type, dtype=torch.bfloat16):
            posterior = vae.encode(x).latent_dist
            reconstruction = vae.decode(posterior.sample()).sample
        reconstruction = reconstruction.float()
        loss = (
            (reconstruction - x).abs().mean()
            + 0.25 * ssim_loss(reconstruction, x)
            + 2e-5 * posterior.kl().float().mean() / 16
        )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        curve.log(step, loss=loss.item())
    vae.eval()
    latents = encode_clips(vae, pool.clips[:500])
    vae.register_to_config(scaling_factor=float(1.0 / latents.std()))
    return vae, curve


@torch.no_grad()
def encode_clips(vae: AutoencoderKL, clips: object, chunk: int = 32) -> Tensor:
    """Return the latents' means, shape (clip, 4, frame, 8, 8), float32, not scaled."""
    parts = []
    source = torch.as_tensor(clips)
    for start in range(0, len(source), chunk):
        part = source[start : start + chunk]
        with torch.autocast(device().type, dtype=torch.bfloat16):
            mean = vae.encode(to_pixels(part.flatten(0, 1))).latent_dist.mean
        mean = mean.float().cpu().unflatten(0, part.shape[:2])  # (clip, frame, 4, 8, 8)
        parts.append(mean.permute(0, 2, 1, 3, 4))
    return torch.cat(parts)
