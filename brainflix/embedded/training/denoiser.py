"""The embedded text-to-video denoiser: latents of a clip from its captions."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMScheduler
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from brainflix.artifacts.store import atomic_path
from brainflix.embedded.training.conditioning import Phrasebook
from brainflix.embedded.training.image_text import tokenize
from brainflix.embedded.training.loop import Curve, cosine, device, seeded
from brainflix.models.space_time import SpaceTimeTransformer

SHIFT = 6.0
_OBJECT_WEIGHT = 5.0  # of the cells that the object reaches, beside 1 elsewhere
_WORTH_COMPILING = 200  # steps; compiling takes a minute


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


def build_scheduler() -> DDPMScheduler:
    """Return the noise schedule: shifted cosine, 1000 steps, velocity prediction."""
    return DDPMScheduler(
        num_train_timesteps=1000,
        trained_betas=shifted_cosine(1000, SHIFT),
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        clip_sample=False,
    )


@torch.no_grad()
def encode_text(
    encoder: CLIPTextModel, tokenizer: CLIPTokenizer, texts: list[str], chunk: int = 1024
) -> Tensor:
    """Return the last hidden states of texts, shape (text, token, dim), float32, on the CPU."""
    ids = tokenize(tokenizer, texts)
    parts = [
        encoder(input_ids=part.to(device())).last_hidden_state.float().cpu()
        for part in ids.split(chunk)
    ]
    return torch.cat(parts)


def draw_times(batch: int, generator: torch.Generator | None) -> Tensor:
    """Draw time steps on :func:`device`: half of them uniform, half around the middle.

    The middle is where the text decides most: there a caption that names another object costs
    three to four times as much as at either end.
    """
    where = device()
    uniform = torch.randint(1000, (batch,), generator=generator, device=where)
    middle = 480 + 160 * torch.randn(batch, generator=generator, device=where)
    chosen = torch.rand(batch, generator=generator, device=where) < 0.5
    return torch.where(chosen, uniform, middle.clamp(0, 999).long())


def emphasise(reached: Tensor, progress: float, ending: float) -> Tensor:
    """Return the weight of each cell of the latents, with a mean of 1.

    The object fills an eighth of a clip but is what most of its caption is about. Its cells weigh
    more until the training's last part; to the end all weights return to 1, because weights that
    depend on the answer bias the expected answer.

    Parameters
    ----------
    reached : Tensor of bool, shape (clip, frame, h, w)
        The cells that the object reaches.
    progress : float
        0 at the start of training, 1 at its end.
    ending : float
        Share of the training in which the weights return to 1.
    """
    strength = (_OBJECT_WEIGHT - 1) * min(1.0, (1 - progress) / ending)
    weight = 1 + strength * reached.float()
    return weight / weight.mean()


def build_optimisers(model: nn.Module, rate: float) -> list[torch.optim.Optimizer]:
    """Return Muon (Jordan et al. 2024) for the blocks' matrices and AdamW for all else.

    On this task 400 steps with Muon left two percent less loss than as many with AdamW alone, at
    an eighth more time a step.

    Parameters
    ----------
    model : SpaceTimeTransformer
    rate : float
        Muon's learning rate; AdamW's is two thirds of it.
    """
    matrices = [
        parameter
        for name, parameter in model.named_parameters()
        if name.startswith("blocks.") and name.endswith("weight") and parameter.ndim == 2
    ]
    chosen = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in chosen]
    return [
        torch.optim.Muon(matrices, lr=rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=rate / 1.5, weight_decay=0.01, betas=(0.9, 0.98)),
    ]


@dataclass(frozen=True)
class Examples:
    """What the denoiser is trained on; all tensors lie on :func:`device`.

    Attributes
    ----------
    latents : Tensor of float16, shape (clip, 4, frame, h, w)
        Scaled latents.
    labels : Tensor of int64, shape (clip, 4)
        Label indices, which the phrasebook turns into a conditioning.
    reached : Tensor of bool, shape (clip, frame, h, w)
        Cells that show the object, on which training dwells, see :func:`emphasise`.
    phrasebook : Phrasebook
    """

    latents: Tensor
    labels: Tensor
    reached: Tensor
    phrasebook: Phrasebook

    def first(self, n: int) -> Examples:
        """Return the first ``n`` clips."""
        return Examples(self.latents[:n], self.labels[:n], self.reached[:n], self.phrasebook)


@dataclass(frozen=True)
class Phase:
    """One run of the learning rate, from its warm-up to its end.

    Attributes
    ----------
    name : str
        For the terminal.
    steps, batch : int
        Steps, and clips a step.
    rate : float
        Highest learning rate of Muon.
    last : float
        Share of it that is left at the end.
    imperfect : bool
        Whether conditionings are incomplete and wrong for part of the clips, as predicted ones
        are, see :meth:`Phrasebook.draw`.
    ending : float
        Share of the steps in which the object's weight returns to 1, see :func:`emphasise`.
    """

    name: str
    steps: int
    rate: float
    last: float
    imperfect: bool
    ending: float = 0.25
    batch: int = 64


def build_denoiser(examples: Examples) -> SpaceTimeTransformer:
    """Return an untrained denoiser for such latents and conditionings."""
    tokens, dim = examples.phrasebook.empty.shape
    return SpaceTimeTransformer(
        height=examples.latents.shape[-2],
        width=examples.latents.shape[-1],
        patch=4,
        local=16,
        text_dim=dim,
        text_tokens=tokens,
    )


def train_denoiser(
    examples: Examples,
    phase: Phase,
    seed: int,
    start: SpaceTimeTransformer | None = None,
    state: Path | None = None,
    on_snapshot: Callable[[SpaceTimeTransformer, int], None] | None = None,
    every: int = 500,
) -> tuple[SpaceTimeTransformer, Curve]:
    """Train with velocity prediction and return the moving average of the weights.

    Parameters
    ----------
    examples : Examples
        Clips and captions.
    phase : Phase
        Steps, learning rate and conditioning.
    seed : int
        Seed of the initial weights and of all draws.
    start : SpaceTimeTransformer, optional
        What to go on from; a new model by default.
    state : Path, optional
        File for all that the loop holds, written every ``every`` steps. When it exists, training
        goes on from there, to the same result.
    on_snapshot : callable, optional
        Called with the averaged model and the step every ``every`` steps.
    every : int
        Steps between snapshots.
    """
    torch.manual_seed(seed)
    model = copy.deepcopy(start) if start is not None else build_denoiser(examples)
    model = model.to(device()).train()
    average = copy.deepcopy(model).eval()
    optimisers = build_optimisers(model, phase.rate)
    schedules = [cosine(part, phase.steps, 200, phase.last) for part in optimisers]
    generator = seeded(seed)
    curve = Curve(phase.name)
    holds: dict[str, Any] = {"model": model, "average": average}
    holds |= {f"optimiser{k}": part for k, part in enumerate(optimisers)}
    holds |= {f"schedule{k}": part for k, part in enumerate(schedules)}
    done = _restore(state, holds, generator, curve) if state is not None else 0
    # fuses what lies between the matrix products: twice as fast
    compiled = torch.compile(model) if phase.steps >= _WORTH_COMPILING else model
    scheduler = build_scheduler()
    for step in curve.steps(phase.steps, done):
        loss = _loss(compiled, scheduler, examples, phase, step / phase.steps, generator)
        model.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for part in (*optimisers, *schedules):
            part.step()
        _follow(average, model, min(0.998, (step + 1) / (step + 20)))
        curve.log(step, loss=loss)
        if (step + 1) % every == 0:
            if state is not None:
                _keep(state, step + 1, holds, generator, curve)
            if on_snapshot is not None:
                on_snapshot(average, step + 1)
    return average, curve


def _loss(
    model: Callable[..., Tensor],
    scheduler: DDPMScheduler,
    examples: Examples,
    phase: Phase,
    progress: float,
    generator: torch.Generator | None,
) -> Tensor:
    """Return the loss () of a batch drawn from the examples."""
    where = device()
    count = len(examples.latents)
    index = torch.randint(count, (phase.batch,), generator=generator, device=where)
    clean = examples.latents[index].float()
    noise = torch.randn(clean.shape, generator=generator, device=where)
    time = draw_times(phase.batch, generator)
    text = examples.phrasebook.draw(examples.labels[index], generator, phase.imperfect)
    noisy = scheduler.add_noise(clean, noise, time)
    target = scheduler.get_velocity(clean, noise, time)
    with torch.autocast(where.type, dtype=torch.bfloat16):
        output = model(noisy, time, text)
    error = (output.float() - target).square()
    weight = emphasise(examples.reached[index], progress, phase.ending)
    return (error * weight[:, None]).mean()


def _keep(
    path: Path, step: int, holds: dict[str, Any], generator: torch.Generator, curve: Curve
) -> None:
    """Write all that the training loop holds."""
    content = {name: part.state_dict() for name, part in holds.items()}
    content |= {"step": step, "generator": generator.get_state(), "curve": curve.state()}
    with atomic_path(path) as temporary:
        torch.save(content, temporary)


def _restore(path: Path, holds: dict[str, Any], generator: torch.Generator, curve: Curve) -> int:
    """Load what :func:`_keep` wrote, if anything; return the steps that are done."""
    if not path.is_file():
        return 0
    content = torch.load(path, map_location=device(), weights_only=True)
    for name, part in holds.items():
        part.load_state_dict(content[name])
    generator.set_state(content["generator"].cpu())
    curve.restore(content["curve"])
    return int(content["step"])


@torch.no_grad()
def _follow(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move the averaged weights towards the model's."""
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
