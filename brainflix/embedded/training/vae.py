"""The embedded VAE: 64 x 64 frames to 4 x 16 x 16 latents and back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from brainflix.embedded.training.data import Pool
from brainflix.embedded.training.loop import Curve, cosine, device, seeded, to_pixels
from brainflix.simulation.world import SIZE, centres

CROP = 40


def build_vae() -> AutoencoderKL:
    """Return an untrained AutoencoderKL with four latent channels and a factor of four."""
    channels = (24, 48, 96)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
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


def train_vae(
    pool: Pool, steps: int, object_steps: int, seed: int, batch: int = 40
) -> tuple[AutoencoderKL, Curve]:
    """Train the VAE on frames: L1 + SSIM + a small KL term.

    The model is convolutional, so most of the ``steps`` see crops of 40 x 40 pixels, which cost
    less than half as much; their last fifth sees whole frames, for the borders. Then
    ``object_steps`` see crops around the object, whose outline is what a person looks at and what
    a loss over whole frames hardly notices.

    Returns
    -------
    AutoencoderKL
        With ``scaling_factor`` set to the inverse deviation of its latents.
    Curve
        The training curve.
    """
    torch.manual_seed(seed)
    vae = build_vae().to(device(), memory_format=torch.channels_last).train()
    curve = Curve("vae")
    generator, where = seeded(seed), device()
    frames = torch.from_numpy(pool.clips).flatten(0, 1).to(where)
    # drawn at once and on the CPU, which would wait for a GPU to tell it where to cut
    corners = torch.rand((steps, 2), generator=torch.Generator().manual_seed(seed)).tolist()

    def crop(step: int) -> Tensor:
        index = torch.randint(len(frames), (batch,), generator=generator, device=where)
        side = CROP if step < 0.8 * steps else SIZE
        top, left = (int(part * (SIZE - side + 1)) for part in corners[step])
        return frames[index, top : top + side, left : left + side]

    _fit(vae, crop, steps, 2e-3, curve)
    fit_objects(vae, pool, object_steps, seed, curve, batch)
    return vae, curve


def fit_objects(
    vae: AutoencoderKL, pool: Pool, steps: int, seed: int, curve: Curve, batch: int = 40
) -> None:
    """Go on training on crops around the object, and set ``scaling_factor``.

    One crop in four is a random one, so that backgrounds are not forgotten.
    """
    generator, where = seeded(seed + 1), device()
    frames = torch.from_numpy(pool.clips).flatten(0, 1).to(where)
    places = torch.from_numpy(np.concatenate([centres(scene) for scene in pool.scenes])).to(where)
    cells = torch.arange(CROP, device=where)
    random = (torch.arange(batch, device=where) % 4 == 0)[:, None]

    def crop(step: int) -> Tensor:
        index = torch.randint(len(frames), (batch,), generator=generator, device=where)
        jitter = torch.randint(-6, 7, (batch, 2), generator=generator, device=where)
        anywhere = torch.randint(SIZE - CROP + 1, (batch, 2), generator=generator, device=where)
        around = (places[index].round().long() - CROP // 2 + jitter).clamp(0, SIZE - CROP)
        corner = torch.where(random, anywhere, around)
        rows = corner[:, 1, None, None] + cells[None, :, None]
        columns = corner[:, 0, None, None] + cells[None, None, :]
        return frames[index[:, None, None], rows, columns]

    vae.train()
    _fit(vae, crop, steps, 1.2e-3, curve)
    vae.eval()
    latents = encode_clips(vae, pool.clips[:500])
    vae.register_to_config(scaling_factor=float(1.0 / latents.std()))


def _fit(
    vae: AutoencoderKL, crop: Callable[[int], Tensor], steps: int, rate: float, curve: Curve
) -> None:
    """Run ``steps`` of AdamW on batches of uint8 crops."""
    optimiser = torch.optim.AdamW(vae.parameters(), lr=rate, weight_decay=1e-4, betas=(0.9, 0.99))
    schedule = cosine(optimiser, steps, warmup=min(100, steps))
    for step in curve.steps(steps):
        x = to_pixels(crop(step))
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
        curve.log(step, loss=loss)


@torch.no_grad()
def encode_clips(vae: AutoencoderKL, clips: object, chunk: int = 32) -> Tensor:
    """Return the latents' means, shape (clip, 4, frame, 16, 16), float32, not scaled."""
    parts = []
    source = torch.as_tensor(clips)
    for start in range(0, len(source), chunk):
        part = source[start : start + chunk]
        with torch.autocast(device().type, dtype=torch.bfloat16):
            mean = vae.encode(to_pixels(part.flatten(0, 1))).latent_dist.mean
        mean = mean.float().cpu().unflatten(0, part.shape[:2])  # (clip, frame, 4, 16, 16)
        parts.append(mean.permute(0, 2, 1, 3, 4))
    return torch.cat(parts)
