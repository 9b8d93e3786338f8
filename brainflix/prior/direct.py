"""Priors that know only a length: ``none`` and ``length``."""

from __future__ import annotations

from typing import Any

import numpy as np

from brainflix.artifacts.stimuli import Array
from brainflix.prior.base import Prior
from brainflix.prior.data import Encode, Pairs, Tensors, TrainingClips
from brainflix.prior.options import LengthOptions, NoPriorOptions

_NOTHING = 1e-5  # a deviation as short as this, beside a training clip's, is rounding


class NoPrior(Prior):
    """Returns predictions as they are."""

    kind = "none"
    Options = NoPriorOptions
    restores = False

    def _fit(self, pairs: Pairs, clips: TrainingClips) -> None:
        """Nothing is fitted."""

    def _restore(self, prediction: Array, repeats: int, seed: int) -> Array:
        return prediction

    def _state(self) -> tuple[Tensors, dict[str, Any]]:
        return {}, {}

    def _set_state(self, tensors: Tensors, facts: dict[str, Any], encode: Encode | None) -> None:
        """Nothing is kept."""


class Length(Prior):
    """Stretches a prediction's deviation from the training mean to the length of a training clip's.

    Regression shrinks uncertain predictions towards the mean. The length is the root mean square
    over training clips, in standardised dimensions.
    """

    kind = "length"
    Options = LengthOptions

    def _fit(self, pairs: Pairs, clips: TrainingClips) -> None:
        flat = clips.values.reshape(len(clips.values), -1)
        self.mean = flat.mean(axis=0, dtype=np.float64).astype(np.float32)
        scale = flat.std(axis=0, dtype=np.float64).astype(np.float32)
        self.scale = np.where(scale > 0, scale, np.float32(1))
        self.varying = int((scale > 0).sum())

    def _restore(self, prediction: Array, repeats: int, seed: int) -> Array:
        deviation = prediction.ravel() - self.mean
        length = float(np.linalg.norm(deviation / self.scale))
        wanted = float(np.sqrt(self.varying))
        factor = wanted / length if length > _NOTHING * wanted else 1.0
        return (self.mean + np.float32(factor) * deviation).reshape(prediction.shape)

    def _state(self) -> tuple[Tensors, dict[str, Any]]:
        return {"mean": self.mean, "scale": self.scale}, {"varying": self.varying}

    def _set_state(self, tensors: Tensors, facts: dict[str, Any], encode: Encode | None) -> None:
        self.mean, self.scale = tensors["mean"], tensors["scale"]
        self.varying = int(facts["varying"])
