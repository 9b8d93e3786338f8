"""What the training loops of the embedded models share."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from brainflix.artifacts.store import atomic_path
from brainflix.console import announce


def device() -> torch.device:
    """Return the GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def to_pixels(frames: Tensor) -> Tensor:
    """Turn uint8 (image, height, width, 3) into float (image, 3, height, width) in -1 to 1."""
    x = frames.permute(0, 3, 1, 2).to(device(), torch.float32, memory_format=torch.channels_last)
    return x / 127.5 - 1.0


def cosine(
    optimiser: torch.optim.Optimizer, steps: int, warmup: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """Return a linear warm-up followed by a cosine to two percent."""

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        progress = (step - warmup) / max(1, steps - warmup)
        return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))

    return torch.optim.lr_scheduler.LambdaLR(optimiser, factor)


class Curve:
    """A learning curve: means of what was logged, every ``every`` steps."""

    def __init__(self, name: str, every: int = 100) -> None:
        self.name, self.every = name, every
        self.rows: list[dict[str, float]] = []
        self._sums: dict[str, float] = {}

    def steps(self, n: int) -> Iterator[int]:
        """Yield 0 to ``n`` - 1."""
        self._start = time.monotonic()
        yield from range(n)

    def log(self, step: int, **values: float) -> None:
        """Add a step's values; print and keep their mean when a stretch is full."""
        for key, value in values.items():
            self._sums[key] = self._sums.get(key, 0.0) + value / self.every
        if (step + 1) % self.every == 0:
            self.rows.append({"step": step + 1, **self._sums})
            shown = " ".join(f"{key} {value:.4f}" for key, value in self._sums.items())
            announce(self.name, f"step {step + 1} {shown} {time.monotonic() - self._start:.0f} s")
            self._sums = {}

    def save(self, path: Path) -> None:
        """Write the curve as CSV; a training too short for a row leaves no file."""
        if not self.rows:
            return
        with atomic_path(path) as temporary, open(temporary, "w", newline="") as stream:
            writer = csv.DictWriter(stream, fieldnames=list(self.rows[0]))
            writer.writeheader()
            writer.writerows(self.rows)
