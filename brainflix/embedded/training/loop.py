"""What the training loops of the embedded models share."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from brainflix.artifacts.store import atomic_path
from brainflix.console import announce


def device() -> torch.device:
    """Return the GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def seeded(seed: int) -> torch.Generator:
    """Return a generator on :func:`device`, so that what it draws need not be sent there."""
    return torch.Generator(device()).manual_seed(seed)


def to_pixels(frames: Tensor) -> Tensor:
    """Turn uint8 (image, height, width, 3) into float (image, 3, height, width) in -1 to 1."""
    x = frames.permute(0, 3, 1, 2).to(device(), torch.float32, memory_format=torch.channels_last)
    return x / 127.5 - 1.0


def cosine(
    optimiser: torch.optim.Optimizer, steps: int, warmup: int, last: float = 0.02
) -> torch.optim.lr_scheduler.LambdaLR:
    """Return a linear warm-up followed by a cosine to the share ``last`` of the rate."""

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        progress = (step - warmup) / max(1, steps - warmup)
        return last + (1 - last) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))

    return torch.optim.lr_scheduler.LambdaLR(optimiser, factor)


class Curve:
    """A learning curve: means of what was logged, every ``every`` steps.

    Sums stay on the device until a stretch is full: reading a value makes the CPU wait for the GPU.
    """

    def __init__(self, name: str, every: int = 100) -> None:
        self.name, self.every = name, every
        self.rows: list[dict[str, float]] = []
        self._sums: dict[str, Tensor] = {}
        self._start = time.monotonic()

    def steps(self, n: int, start: int = 0) -> Iterator[int]:
        """Yield ``start`` to ``n`` - 1."""
        self._start = time.monotonic()
        yield from range(start, n)

    def log(self, step: int, **values: Tensor) -> None:
        """Add a step's values, each (); print and keep their mean when a stretch is full."""
        for key, value in values.items():
            share = value.detach().float() / self.every
            self._sums[key] = self._sums[key] + share if key in self._sums else share
        if (step + 1) % self.every == 0:
            means = {key: value.item() for key, value in self._sums.items()}
            self.rows.append({"step": step + 1, **means})
            shown = " ".join(f"{key} {value:.4f}" for key, value in means.items())
            announce(self.name, f"step {step + 1} {shown} {time.monotonic() - self._start:.0f} s")
            self._sums = {}

    def state(self) -> dict[str, Any]:
        """Return what :meth:`restore` takes."""
        return {"rows": self.rows, "sums": self._sums}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where :meth:`state` was taken."""
        self.rows = list(state["rows"])
        self._sums = {key: value.to(device()) for key, value in state["sums"].items()}

    def save(self, path: Path) -> None:
        """Write the curve as CSV; a training too short for a row leaves no file."""
        if not self.rows:
            return
        with atomic_path(path) as temporary, open(temporary, "w", newline="") as stream:
            writer = csv.DictWriter(stream, fieldnames=list(self.rows[0]))
            writer.writeheader()
            writer.writerows(self.rows)
