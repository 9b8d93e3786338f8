"""How well the embedded models work, on scenes that their training never saw.

The figures go into the model cards: classifiers on true clips, the VAE's reconstructions, and the
text-to-video model judged by the classifiers.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from brainflix.embedded.training.classifiers import classify
from brainflix.embedded.training.data import Pool
from brainflix.embedded.training.denoiser import encode_text
from brainflix.embedded.training.image_text import pooled, tokenize
from brainflix.embedded.training.loop import device, to_pixels
from brainflix.simulation.world import ATTRIBUTES, captions


def accuracy(found: Mapping[str, NDArray[np.int64]], pool: Pool) -> dict[str, float]:
    """Return the share of clips whose predicted label is the true one, an attribute."""
    return {
        name: float((labels == pool.labels[:, ATTRIBUTES.index(name)]).mean())
        for name, labels in found.items()
    }


@torch.no_grad()
def decode_latents(
    vae: torch.nn.Module, latents: torch.Tensor, chunk: int = 16
) -> NDArray[np.uint8]:
    """Decode scaled latents (clip, 4, frame, h, w) to uint8 (clip, frame, height, width, 3)."""
    parts = []
    for part in latents.split(chunk):
        flat = (part / vae.config.scaling_factor).permute(0, 2, 1, 3, 4).flatten(0, 1)
        flat = flat.to(device()).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device().type, dtype=torch.bfloat16):
            pixels = vae.decode(flat).sample.float()
        pixels = ((pixels + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        parts.append(
            pixels.permute(0, 2, 3, 1).unflatten(0, part.shape[:1] + part.shape[2:3]).cpu()
        )
    return torch.cat(parts).numpy()


@torch.no_grad()
def vae_similarity(vae: torch.nn.Module, clips: NDArray[np.uint8]) -> float:
    """Return the mean SSIM (scikit-image, RGB, 7 x 7) of clips and their reconstructions."""
    from brainflix.embedded.training.vae import encode_clips

    decoded = decode_latents(vae, encode_clips(vae, clips) * vae.config.scaling_factor)
    scores = [
        structural_similarity(a, b, channel_axis=-1, data_range=255)
        for true, seen in zip(clips, decoded, strict=True)
        for a, b in zip(true[::3], seen[::3], strict=True)
    ]
    return float(np.mean(scores))


@torch.no_grad()
def clip_retrieval(clip: torch.nn.Module, tokenizer: object, pool: Pool, n: int = 50) -> float:
    """Return how often a clip's own caption is the nearest of ``n``, over disjoint sets of n."""
    hits = []
    for start in range(0, len(pool) - n + 1, n):
        frames = torch.from_numpy(pool.clips[start : start + n])
        image = pooled(clip.get_image_features(pixel_values=to_pixels(frames.flatten(0, 1))))
        image = torch.nn.functional.normalize(image, dim=-1).unflatten(0, frames.shape[:2]).mean(1)
        texts = [captions(scene, 1)[0] for scene in pool.scenes[start : start + n]]
        text = pooled(clip.get_text_features(input_ids=tokenize(tokenizer, texts).to(device())))  # type: ignore[arg-type]
        hits.append(((image @ text.T).argmax(1).cpu() == torch.arange(n)).float().mean())
    return float(torch.stack(hits).mean())


@torch.no_grad()
def generate_from_captions(
    parts: Mapping[str, object], pool: Pool, *, seed: int, steps: int = 20, guidance: float = 3.0
) -> NDArray[np.uint8]:
    """Generate a clip a scene from the mean encoding of five captions.

    Parameters
    ----------
    parts : mapping
        denoiser, vae, text_encoder, tokenizer, scheduler (of diffusers).
    pool : Pool
        Scenes; only their captions are used.
    """
    from diffusers import DPMSolverMultistepScheduler

    from brainflix.generation.denoisers import as_function
    from brainflix.generation.sampler import Sampler

    encoder, tokenizer = parts["text_encoder"], parts["tokenizer"]
    texts = [text for scene in pool.scenes for text in captions(scene, 5)]
    hidden = encode_text(encoder, tokenizer, texts).unflatten(0, (-1, 5)).mean(1)  # type: ignore[arg-type]
    empty = encode_text(encoder, tokenizer, [""])  # type: ignore[arg-type]
    scheduler = DPMSolverMultistepScheduler.from_config(parts["scheduler"].config)  # type: ignore[attr-defined]
    sampler = Sampler(scheduler, steps, guidance)
    denoise = as_function(parts["denoiser"])
    generator = torch.Generator().manual_seed(seed)
    size = parts["denoiser"].config  # type: ignore[attr-defined]
    shape = (size.in_channels, size.frames, size.height, size.width)
    clips = []
    for text in hidden.split(32):
        # drawn on the CPU, so that every machine is judged on the same noise
        noise = torch.randn((len(text), *shape), generator=generator).to(device())
        times = sampler.timesteps(device=device())
        start = sampler.start(noise, times)
        negative = empty.expand(len(text), -1, -1).to(device())
        with torch.autocast(device().type, dtype=torch.bfloat16):
            latents = sampler.run(denoise, start, times, text.to(device()), negative)
        clips.append(decode_latents(parts["vae"], latents.float()))  # type: ignore[arg-type]
    return np.concatenate(clips)


def judge(
    classifiers: Mapping[str, torch.nn.Module], clips: NDArray[np.uint8], pool: Pool
) -> dict[str, float]:
    """Return attribute accuracy: the frame classifier's, and motion by the video classifier."""
    found = classify(classifiers["frame"], clips, video=False)
    found["motion"] = classify(classifiers["video"], clips, video=True)["motion"]
    return accuracy(found, pool)
