"""The embedded text-to-video denoiser: latents of a clip from its captions."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import torch
from diffusers import DDPMScheduler
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from brainflix.embedded.clip import tokenize
from brainflix.embedded.training import Curve, cosine, device
from brainflix.models.space_time import SpaceTimeTransformer

SHIFT = 4.0


def shifted_cosine(steps: int, shift: float) -> list[float]:
    """Return betas of a cosine schedule with its noise-to-signal ratio multiplied by ``shift``.

    The frames of a clip, and neighbours within a frame, show the same thing, so what a clip shows
    is still legible under noise that would hide a single image. Without the shift, all that the
    text decides would be decided in the last tenth of the schedule (Hoogeboom et al. 2023).

    Parameters
    ----------
    steps : int
        Steps of the schedule.
    shift : float
        Factor of the noise-to-signal ratio; 1 is the cosine schedule.
    """
    time = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    ratio = shift * torch.tan(time * math.pi / 2)
    kept = 1 / (1 + ratio**2)  # cumulative product of the alphas
    betas = 1 - kept[1:] / kept[:-1]
    return betas.clamp(1e-6, 0.999).tolist()


def build_scheduler(shift: float = SHIFT) -> DDPMScheduler:
    """Return the noise schedule: shifted cosine, 1000 steps, velocity prediction."""
    return DDPMScheduler(
        num_train_timesteps=1000,
        trained_betas=shifted_cosine(1000, shift),
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        clip_sample=False,
    )


@torch.no_grad()
def encode_text(
    encoder: CLIPTextModel, tokenizer: CLIPTokenizer, texts: list[str], chunk: int = 1024
) -> Tensor:
    """Return the last hidden states of texts, shape (text, token, dim), float32."""
    ids = tokenize(tokenizer, texts)
    parts = [
        encoder(input_ids=part.to(device())).last_hidden_state.float().cpu()
        for part in ids.split(chunk)
    ]
    return torch.cat(parts)


def mix_conditioning(hidden: Tensor, empty: Tensor, generator: torch.Generator) -> Tensor:
    """Draw a conditioning a clip: a mean over captions, one caption, or none.

    Half of the clips get the mean over their first five captions, which is what the pipeline
    regresses; four in ten get one caption; one in ten gets the empty caption, for guidance. A
    little noise makes the denoiser tolerate vectors that were predicted rather than encoded.

    Parameters
    ----------
    hidden : Tensor, shape (clip, phrasing, token, dim)
    empty : Tensor, shape (token, dim)
    """
    batch, phrasings = hidden.shape[:2]
    draw = torch.rand(batch, generator=generator)
    chosen = hidden[torch.arange(batch), torch.randint(phrasings, (batch,), generator=generator)]
    mixed = torch.where((draw < 0.5)[:, None, None], hidden[:, :5].mean(1), chosen)
    noisy = torch.rand((batch, 1, 1), generator=generator).clamp(min=0.5) - 0.5
    mixed = mixed + 0.4 * noisy * torch.randn(mixed.shape, generator=generator)
    return torch.where((draw > 0.9)[:, None, None], empty, mixed)


def train_denoiser(
    latents: Tensor,
    hidden: Tensor,
    empty: Tensor,
    steps: int,
    seed: int,
    batch: int = 64,
    shift: float = SHIFT,
    start: SpaceTimeTransformer | None = None,
    on_snapshot: Callable[[SpaceTimeTransformer, int], None] | None = None,
) -> tuple[SpaceTimeTransformer, Curve]:
    """Train with velocity prediction and return the moving average of the weights.

    Parameters
    ----------
    latents : Tensor, shape (clip, 4, frame, 8, 8)
        Scaled latents.
    hidden : Tensor, shape (clip, phrasing, token, dim)
        Text conditioning of each clip's captions.
    empty : Tensor, shape (token, dim)
        Conditioning of the empty caption.
    steps, seed, batch : int
        Steps, seed and clips a step.
    shift : float
        Shift of the noise schedule, see :func:`shifted_cosine`.
    start : SpaceTimeTransformer, optional
        Weights to go on from.
    on_snapshot : callable, optional
        Called with the averaged model and the step every 500 steps.
    """
    torch.manual_seed(seed)
    if start is None:
        start = SpaceTimeTransformer(text_dim=hidden.shape[-1], text_tokens=hidden.shape[-2])
    model = start.to(device()).train()
    average = copy.deepcopy(model).eval()
    compiled = torch.compile(model)  # fuses what lies between the matrix products: twice as fast
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01, betas=(0.9, 0.98))
    schedule = cosine(optimiser, steps, warmup=300)
    scheduler = build_scheduler(shift)
    generator = torch.Generator().manual_seed(seed)
    curve = Curve("denoiser")
    for step in curve.steps(steps):
        index = torch.randint(len(latents), (batch,), generator=generator)
        clean = latents[index].float()
        noise = torch.randn(clean.shape, generator=generator)
        time = torch.randint(1000, (batch,), generator=generator)
        text = mix_conditioning(hidden[index].float(), empty, generator).to(device())
        noisy = scheduler.add_noise(clean, noise, time).to(device())
        target = scheduler.get_velocity(clean, noise, time).to(device())
        with torch.autocast(device().type, dtype=torch.bfloat16):
            output = compiled(noisy, time.to(device()), text)
        loss = nn.functional.mse_loss(output.float(), target)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        _follow(average, model, min(0.998, (step + 1) / (step + 20)))
        curve.log(step, loss=loss.item())
        if on_snapshot is not None and (step + 1) % 500 == 0:
            on_snapshot(average, step + 1)
    return average, curve


@torch.no_grad()
def _follow(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move the averaged weights towards the model's."""
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
