"""A small training loop for priors that are networks: seeded, resumable, no pickle."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from brainflix.artifacts.store import atomic_path
from brainflix.errors import ArtifactError
from brainflix.prior.options import TrainingOptions

Loss = Callable[[int, torch.Generator], Tensor]
"""A step's number and its generator to the step's loss."""


def learning_rate(step: int, options: TrainingOptions) -> float:
    """Return the rate of a step: from a 25th up linearly, then by a cosine to near zero.

    The shape is that of one cycle (Smith and Topin 2018), with the numbers of PyTorch's OneCycleLR.
    """
    rise = options.warmup * options.steps
    if step < rise:
        return options.learning_rate * (0.04 + 0.96 * step / rise)
    progress = (step - rise) / max(1.0, options.steps - rise)
    return options.learning_rate * 0.5 * (1 + math.cos(math.pi * progress)) + 4e-5 * (
        options.learning_rate * progress
    )


def step_generator(seed: int, step: int) -> torch.Generator:
    """Return a step's own generator, so that a resumed training draws what an unbroken one does."""
    return torch.Generator().manual_seed((seed << 32) + step)


def train(
    module: nn.Module, loss: Loss, options: TrainingOptions, seed: int, checkpoint: Path | None
) -> list[float]:
    """Train a network in place by AdamW.

    Parameters
    ----------
    module : nn.Module
        Left in evaluation mode.
    loss : callable
        The loss of a step.
    options : TrainingOptions
    seed : int
        Of every step's draws.
    checkpoint : Path, optional
        A safetensors file that is written every ``save_every`` steps; where it exists, training
        goes on from it, and ends with the same weights as without a break. Removed at the end.

    Returns
    -------
    list of float
        The loss of each step that was run.

    Raises
    ------
    ArtifactError
        When the checkpoint is of another network, training or seed.
    """
    optimiser = torch.optim.AdamW(
        module.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay
    )
    origin = f"{seed} {options.model_dump_json()}"
    begin = 0
    if checkpoint is not None and checkpoint.exists():
        begin = _resume(module, optimiser, checkpoint, origin)
    losses = []
    module.train()
    for step in range(begin, options.steps):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, options)
        torch.manual_seed((seed << 32) + step)  # for dropout, which takes no generator
        value = loss(step, step_generator(seed, step))
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        optimiser.step()
        losses.append(float(value.detach()))
        if checkpoint is not None and (step + 1) % options.save_every == 0:
            _save(module, optimiser, checkpoint, step + 1, origin)
    module.eval()
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return losses


def _save(
    module: nn.Module, optimiser: torch.optim.Optimizer, path: Path, step: int, origin: str
) -> None:
    tensors = {f"module.{name}": value for name, value in module.state_dict().items()}
    for number, parameter in enumerate(module.parameters()):
        for name, value in optimiser.state[parameter].items():
            tensors[f"optimiser.{number}.{name}"] = value
    tensors = {name: value.detach().clone().contiguous() for name, value in tensors.items()}
    with atomic_path(path) as temporary:
        save_file(tensors, str(temporary), metadata={"step": str(step), "origin": origin})


def _resume(module: nn.Module, optimiser: torch.optim.Optimizer, path: Path, origin: str) -> int:
    """Take weights and the optimiser's state from a checkpoint; return the next step."""
    from safetensors import safe_open

    with safe_open(str(path), framework="pt") as file:
        header = file.metadata()
    tensors = load_file(str(path))
    weights = {
        name.removeprefix("module."): value
        for name, value in tensors.items()
        if name.startswith("module.")
    }
    shapes = {name: value.shape for name, value in module.state_dict().items()}
    if header.get("origin") != origin or {k: v.shape for k, v in weights.items()} != shapes:
        raise ArtifactError(
            "the checkpoint is of another training",
            expected=origin,
            found=header.get("origin"),
            where=path,
            remedy="delete the checkpoint to start again",
        )
    module.load_state_dict(weights)
    state = optimiser.state_dict()
    for number, _ in enumerate(module.parameters()):
        prefix = f"optimiser.{number}."
        state["state"][number] = {
            name.removeprefix(prefix): value
            for name, value in tensors.items()
            if name.startswith(prefix)
        }
    optimiser.load_state_dict(state)
    return int(header["step"])
